// Files that are dropped or chosen: avatars, scenes, motions, backgrounds.
import type { Player } from "../player";

/** Opens files by what they are; tells people what went wrong. */
export async function openFiles(player: Player, files: File[]): Promise<void> {
  for (const file of files) {
    try {
      await openFile(player, file);
    } catch (error) {
      player.tell("error", `${file.name}: ${(error as Error).message.replace(`${file.name}: `, "")}`);
    }
  }
}

async function openFile(player: Player, file: File): Promise<void> {
  const name = file.name.toLowerCase();
  if (/\.(csv|json)$/.test(name)) player.loadMotion(await file.text(), file.name);
  else if (/\.(ply|splat|spz|sog|glb)$/.test(name)) await player.openSplats(await file.arrayBuffer(), file.name);
  else if (/\.html?$/.test(name)) await openPage(player, await file.text());
  else if (/\.a3dp$/.test(name)) await player.openAvatar(await file.arrayBuffer());
  else if (file.type.startsWith("image/") || /\.(png|jpe?g|webp|avif|gif|bmp)$/.test(name)) await player.background(file);
  else if (/\.a3d$/.test(name)) throw new Error("open it with `avatar3d view`, or turn it into a page with `avatar3d export --to html`");
  else throw new Error("no file that this player opens: .csv, .json, .ply, .splat, .spz, .sog, .glb, .a3dp, a player page, or a picture");
}

/** Takes the avatar out of another page of this player; nothing in that page is run. */
async function openPage(player: Player, text: string): Promise<void> {
  const found = /<script[^>]*id="avatar3d-data"[^>]*data-kind="(\w+)"[^>]*data-name="([^"]*)"[^>]*>([A-Za-z0-9+/=\s]*)<\/script>/.exec(text);
  if (!found) throw new Error("that page holds no avatar of this player");
  const raw = atob(found[3].trim()), bytes = new Uint8Array(raw.length);
  for (let i = 0; i < raw.length; i++) bytes[i] = raw.charCodeAt(i);
  if (found[1] === "still") await player.openSplats(bytes.buffer, found[2]);
  else await player.openAvatar(bytes.buffer);
}

/** Lets files be dropped anywhere on an element. */
export function drop(player: Player, target: HTMLElement): void {
  let depth = 0;
  const mark = (change: number) => {
    depth = change ? Math.max(0, depth + change) : 0;
    target.classList.toggle("dropping", depth > 0);
  };
  target.addEventListener("dragenter", (event) => (event.preventDefault(), mark(1)));
  target.addEventListener("dragleave", () => mark(-1));
  target.addEventListener("dragover", (event) => event.preventDefault());
  target.addEventListener("drop", (event) => {
    event.preventDefault();
    mark(0);
    void openFiles(player, [...(event.dataTransfer?.files ?? [])]);
  });
}
