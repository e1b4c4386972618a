// Starts the player on this page: opens what the page carries, or waits for a file.
import { apply, fromAddress, listen } from "./api";
import { Player } from "./player";
import { Interface } from "./ui/interface";

async function start(): Promise<void> {
  const query = new URLSearchParams(location.search);
  const canvas = document.createElement("canvas");
  let player: Player;
  try {
    player = new Player(canvas);
  } catch (error) {
    document.body.textContent = `This player needs WebGL2: ${(error as Error).message}.`;
    return;
  }
  if (query.has("renderer")) player.stage.painting = query.get("renderer") === "cpu";
  const ui = new Interface(player, document.body, query);
  const ready = load(player);
  Object.assign(window, { player: facade(player, ui, ready) });
  listen(player);
  try {
    const opened = await ready;
    await apply(player, fromAddress(query));
    if (opened) {
      enliven(player, query);
      player.tell("ready");
    }
  } catch (error) {
    player.tell("error", (error as Error).message);
  }
}

/** A head that nobody moves blinks and breathes, where a graphics card makes that cheap and people do not mind. */
function enliven(player: Player, query: URLSearchParams): void {
  const asked = ["ui", "idle", "blink", "play", "time"].some((x) => query.has(x));
  const slow = player.stage.renderer.software, calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
  if (player.performer && !asked && !slow && !calm) player.setLife({ blink: true, idle: true });
}

/** Opens the avatar inside the page; false if it has none. */
async function load(player: Player): Promise<boolean> {
  const element = document.getElementById("avatar3d-data");
  if (!element) {
    player.tell("scene");
    return false;
  }
  const bytes = await decoded((element.textContent ?? "").trim());
  element.remove(); // megabytes of text
  if (element.dataset.kind === "still") await player.openSplats(bytes, element.dataset.name ?? "scene.spz");
  else await player.openAvatar(bytes);
  return true;
}

async function decoded(base64: string): Promise<ArrayBuffer> {
  const text = atob(base64), bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  return bytes.buffer;
}

/** The public face of the player. */
function facade(player: Player, ui: Interface, ready: Promise<boolean>) {
  return {
    /** Resolves when the avatar is on the screen. */
    ready: ready.then(() => player.settle()),
    set: (values: Record<string, number | null>) => player.set(values),
    get: (name: string) => player.get(name),
    values: () => player.values(),
    reset: () => player.reset(),
    apply: (commands: Parameters<typeof apply>[1]) => apply(player, commands),
    play: () => player.play(),
    pause: () => player.pause(),
    seek: (time: number | null) => player.seek(time),
    view: (name: Parameters<Player["view"]>[0]) => player.view(name),
    background: (what: string | Blob) => player.background(what),
    loadMotion: (text: string, name = "motion.csv") => player.loadMotion(text, name),
    mirrorTurns: () => player.mirrorTurns(),
    saveMotion: (kind: "csv" | "json" = "csv") => player.saveMotion(kind),
    /** Starts or ends a take; an ended one plays. */
    take: () => ui.takes.toggle(),
    openAvatar: (bytes: ArrayBuffer) => player.openAvatar(bytes),
    openSplats: (bytes: ArrayBuffer, name: string) => player.openSplats(bytes, name),
    picture: () => ui.recorder.picture(),
    record: (seconds: number) => ui.recorder.clip(seconds),
    before: (on: boolean) => player.before(on),
    settle: () => player.settle(),
    /** The camera: world to camera (3x4, OpenCV axes, of the file's own world) and fx fy cx cy in pixels. */
    lens: () => player.stage.orbit.view(player.canvas.width, player.canvas.height, player.stage.up),
    pixels: () => (player.stage.draw(), player.stage.renderer.pixels()),
    get duration() { return player.duration; },
    get time() { return player.time; },
    /** What plays: rate, weights (frames x expressions) and rotation vectors of the joints (frames x joints x 3, radians). */
    get motion() { return player.performer?.motion ?? null; },
    get names() { return player.performer ? [...player.performer.names, ...Object.keys(player.performer.turns)] : []; },
    get stats() { return { splats: player.stage.count, drawn: player.stage.drawn, posed: player.stage.posed, ...player.stage.timing }; },
    addEventListener: player.addEventListener.bind(player),
    removeEventListener: player.removeEventListener.bind(player),
  };
}

void start();
