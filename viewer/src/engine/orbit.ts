// The camera of a viewer: it circles a point. Angles in radians; yaw 0 faces the head, positive shows its left side.
import { apply, compose, cross, dot, inverse, sub, unit, type Rigid, type Vec3 } from "./matrix";
import type { View } from "./renderer";

export interface OrbitState {
  target: Vec3;
  yaw: number;
  pitch: number;
  distance: number;
  /** Full vertical field of view, radians. */
  fov: number;
}

const LIMIT = 1.5; // radians; straight above has no yaw

/** As avatar3d.render.path: shows 40 cm of a head at rest. */
export const HEAD_VIEW: OrbitState = { target: [0, -0.045, -0.02], yaw: 0, pitch: 0, distance: 0.75, fov: Math.PI / 6 };

export class Orbit {
  state: OrbitState = { ...HEAD_VIEW, target: [...HEAD_VIEW.target] };
  /** A fixed camera that replaces the orbit until it is moved: the source's own, or one given by the page. */
  fixed: { w2c: Rigid; K: number[][]; width: number; height: number } | null = null;

  set(change: Partial<OrbitState>): void {
    this.release();
    Object.assign(this.state, change);
    this.state.pitch = Math.max(-LIMIT, Math.min(LIMIT, this.state.pitch));
    this.state.fov = Math.max(0.05, Math.min(2.2, this.state.fov));
    this.state.distance = Math.max(0.02, this.state.distance);
  }

  turn(dx: number, dy: number): void {
    this.set({ yaw: this.state.yaw - dx, pitch: this.state.pitch + dy });
  }

  zoom(factor: number): void {
    this.set({ distance: this.state.distance * factor });
  }

  /** Moves the target across the picture; in units of the picture's height. */
  pan(dx: number, dy: number): void {
    this.release();
    const { state } = this, m = this.w2c(), scale = 2 * Math.tan(state.fov / 2) * state.distance;
    const target = state.target.map((x, i) => x - scale * (m[i] * dx + m[4 + i] * dy)) as Vec3;
    this.set({ target });
  }

  /** World to camera, OpenCV axes. */
  w2c(): Rigid {
    if (this.fixed) return this.fixed.w2c;
    const { target, yaw, pitch, distance } = this.state, c = Math.cos(pitch);
    const away: Vec3 = [Math.sin(yaw) * c, Math.sin(pitch), Math.cos(yaw) * c];
    const eye = target.map((x, i) => x + distance * away[i]) as Vec3;
    const forward = unit(sub(target, eye)), right = unit(cross(forward, [0, 1, 0])), down = cross(forward, right);
    return Float64Array.from([right, down, forward].flatMap((row) => [...row, -dot(row, eye)]));
  }

  /** @param up Rotation of the world that is seen, for files that lie upside down. */
  view(width: number, height: number, up: Rigid | null): View {
    const w2c = up ? compose(this.w2c(), up) : this.w2c();
    if (this.fixed) {
      // The camera's picture fits into the canvas, whatever its proportions.
      const { K } = this.fixed, scale = Math.min(width / this.fixed.width, height / this.fixed.height);
      const x = (width - scale * this.fixed.width) / 2, y = (height - scale * this.fixed.height) / 2;
      return { w2c, lens: [scale * K[0][0], scale * K[1][1], scale * K[0][2] + x, scale * K[1][2] + y] };
    }
    // On a tall canvas the width is what the field of view measures, so that a phone shows both shoulders.
    const focal = Math.min(height, width * 1.15) / (2 * Math.tan(this.state.fov / 2));
    return { w2c, lens: [focal, focal, width / 2, height / 2] };
  }

  /** Turns a fixed camera into an orbit from the same place. */
  private release(): void {
    if (!this.fixed) return;
    const { w2c, K, height } = this.fixed, eye = apply(inverse(w2c), [0, 0, 0]), away = sub(eye, this.state.target);
    const distance = Math.hypot(...away);
    this.fixed = null;
    Object.assign(this.state, {
      distance,
      yaw: Math.atan2(away[0], away[2]),
      pitch: Math.asin(Math.max(-1, Math.min(1, away[1] / distance))),
      fov: 2 * Math.atan(height / (2 * K[1][1])),
    });
  }
}
