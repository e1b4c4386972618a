// What the world outside can do: `window.player`, messages from a page that embeds this one, and the address's query.
import type { Values } from "./drive/performer";
import { VIEWS, type Player, type ViewName } from "./player";

/** Commands of a message `{avatar3d: {...}}`, of the address, and of `player.apply`. */
export interface Commands {
  set?: Record<string, number | null>;
  reset?: boolean;
  play?: boolean;
  time?: number | null;
  loop?: boolean;
  speed?: number;
  view?: ViewName;
  yaw?: number;
  pitch?: number;
  fov?: number;
  zoom?: number;
  background?: string;
  scale?: number;
  layer?: string;
  /** Whether an edited avatar is shown as it was before. */
  before?: boolean;
  blink?: boolean;
  idle?: boolean;
  /** Whether the picture may have fewer pixels while things move on a slow machine. */
  adapt?: boolean;
  /** Asks for an answer with the values shown. */
  values?: boolean;
}

export const LAYERS = ["splats", "points", "depth", "normals", "regions"] as const;
export type Layer = (typeof LAYERS)[number];

export function setLayer(player: Player, name: string): void {
  if (!(LAYERS as readonly string[]).includes(name)) throw new Error(`unknown layer '${name}'; there are ${LAYERS.join(", ")}`);
  const { stage } = player;
  stage.style.layer = name === "points" || name === "depth" ? name : "splats";
  stage.setLook({ colouring: name === "normals" || name === "regions" ? name : "colour" });
  player.refresh();
  player.tell("change");
}

/** Does what the commands say. Throws on a name or value that makes no sense; what came before it is done. */
export async function apply(player: Player, c: Commands): Promise<void> {
  const radians = (x: number) => (x * Math.PI) / 180;
  if (c.reset) player.reset();
  if (c.set) player.set(c.set);
  if (c.view !== undefined) {
    if (!VIEWS.includes(c.view)) throw new Error(`unknown view '${c.view}'; there are ${VIEWS.join(", ")}`);
    player.view(c.view);
  }
  if (c.yaw !== undefined) player.camera({ yaw: radians(finite("yaw", c.yaw)) });
  if (c.pitch !== undefined) player.camera({ pitch: radians(finite("pitch", c.pitch)) });
  if (c.fov !== undefined) player.camera({ fov: radians(finite("fov", c.fov)) });
  if (c.zoom !== undefined) player.camera({ distance: 0.75 / Math.max(0.05, finite("zoom", c.zoom)) });
  if (c.background !== undefined) await player.background(c.background);
  if (c.scale !== undefined) {
    player.stage.style.swell = Math.min(3, Math.max(0.05, finite("scale", c.scale)));
    player.refresh();
  }
  if (c.layer !== undefined) setLayer(player, c.layer);
  if (c.before !== undefined) player.before(!!c.before);
  if (c.loop !== undefined) player.loop = !!c.loop;
  if (c.speed !== undefined) player.speed = Math.min(4, Math.max(-4, finite("speed", c.speed)));
  if (c.blink !== undefined || c.idle !== undefined)
    player.setLife({ ...(c.blink !== undefined && { blink: !!c.blink }), ...(c.idle !== undefined && { idle: !!c.idle }) });
  if (c.adapt !== undefined) player.stage.adapt = !!c.adapt;
  if (c.time !== undefined) player.seek(c.time === null ? null : finite("time", c.time));
  if (c.play !== undefined) c.play ? player.play() : player.pause();
}

function finite(name: string, value: unknown): number {
  if (typeof value !== "number" || !Number.isFinite(value)) throw new Error(`${name}: give a number`);
  return value;
}

/** Commands in an address such as `?set=jawOpen:0.5,headYaw:20&play=1&view=left`. */
export function fromAddress(query: URLSearchParams): Commands {
  const out: Commands = {}, any = out as Record<string, unknown>;
  for (const name of ["time", "speed", "yaw", "pitch", "fov", "zoom", "scale"]) if (query.has(name)) any[name] = Number(query.get(name));
  for (const name of ["play", "loop", "blink", "idle", "adapt", "before"]) if (query.has(name)) any[name] = !["0", "false", "no"].includes(query.get(name) ?? "");
  for (const name of ["view", "background", "layer"]) if (query.has(name)) any[name] = query.get(name);
  if (query.has("set")) {
    const values: Values = {};
    for (const part of (query.get("set") ?? "").split(",").filter(Boolean)) {
      const [name, value] = part.split(/[:=]/);
      values[name.trim()] = Number(value);
    }
    out.set = values;
  }
  return out;
}

/** Answers messages of the embedding page, and tells it what happens. */
export function listen(player: Player): void {
  const outside = window.parent !== window ? window.parent : null;
  const say = (what: Record<string, unknown>, to: Window | null = outside) => to?.postMessage({ avatar3d: what }, "*");
  window.addEventListener("message", async (event) => {
    const commands = event.data?.avatar3d;
    if (!commands || typeof commands !== "object" || event.source === window) return;
    const from = event.source as Window | null;
    try {
      await apply(player, commands as Commands);
      if (commands.values) say({ event: "values", values: player.values(), time: player.time, duration: player.duration }, from);
    } catch (error) {
      say({ event: "error", message: (error as Error).message }, from);
    }
  });
  player.addEventListener("scene", () => say({ event: "scene", title: player.title, duration: player.duration }));
  player.addEventListener("motion", () => say({ event: "motion", name: player.motionName, duration: player.duration }));
  player.addEventListener("error", (event) => say({ event: "error", message: (event as CustomEvent).detail }));
}
