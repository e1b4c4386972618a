// Moving the camera by mouse, fingers and keys.
import type { Player } from "../player";

export function gestures(player: Player, canvas: HTMLCanvasElement): void {
  const { orbit } = player.stage, down = new Map<number, { x: number; y: number }>();
  let spread = 0;
  const moved = () => {
    player.refresh();
    player.tell("change");
  };
  canvas.addEventListener("contextmenu", (event) => event.preventDefault());
  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    down.set(event.pointerId, { x: event.clientX, y: event.clientY });
    spread = 0;
  });
  for (const end of ["pointerup", "pointercancel"] as const)
    canvas.addEventListener(end, (event) => {
      down.delete(event.pointerId);
      spread = 0;
    });
  canvas.addEventListener("pointermove", (event) => {
    const last = down.get(event.pointerId);
    if (!last) return;
    const dx = event.clientX - last.x, dy = event.clientY - last.y, tall = canvas.clientHeight || 1;
    last.x = event.clientX;
    last.y = event.clientY;
    if (down.size === 1) {
      if (event.buttons & 6 || event.shiftKey) orbit.pan(dx / tall, dy / tall);
      else orbit.turn((2.6 * dx) / tall, (2.6 * dy) / tall);
    } else if (down.size === 2) {
      const [a, b] = [...down.values()], now = Math.hypot(a.x - b.x, a.y - b.y);
      if (spread > 0 && now > 0) orbit.zoom(spread / now);
      spread = now;
      orbit.pan(dx / tall / 2, dy / tall / 2);
    }
    moved();
  });
  canvas.addEventListener("wheel", (event) => {
    event.preventDefault();
    orbit.zoom(Math.exp(Math.max(-0.5, Math.min(0.5, event.deltaY * (event.deltaMode ? 0.04 : 0.0012)))));
    moved();
  }, { passive: false });
  canvas.addEventListener("dblclick", () => player.view("front"));
  canvas.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const step = 0.06, keys: Record<string, () => void> = event.shiftKey
      ? { ArrowLeft: () => orbit.pan(0.04, 0), ArrowRight: () => orbit.pan(-0.04, 0), ArrowUp: () => orbit.pan(0, 0.04), ArrowDown: () => orbit.pan(0, -0.04) }
      : { ArrowLeft: () => orbit.turn(step, 0), ArrowRight: () => orbit.turn(-step, 0), ArrowUp: () => orbit.turn(0, step), ArrowDown: () => orbit.turn(0, -step) };
    const act = keys[event.key];
    if (!act) return;
    event.preventDefault();
    act();
    moved();
  });
}
