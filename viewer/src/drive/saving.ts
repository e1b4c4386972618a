// Motions to files that avatar3d/motions reads, and everybody else: Live Link Face's CSV, and JSON by ARKit's names.
import { rotation } from "../engine/matrix";
import type { Header } from "../engine/payload";
import type { Motion } from "../engine/protocol";

const SIDED = (names: string, side: string) => names.split(" ").map((x) => x + side);
const EYE = "eyeBlink eyeLookDown eyeLookIn eyeLookOut eyeLookUp eyeSquint eyeWide";
// A star stands for left and right.
const REST =
  "jawForward jawRight jawLeft jawOpen mouthClose mouthFunnel mouthPucker mouthRight mouthLeft mouthSmile* mouthFrown* " +
  "mouthDimple* mouthStretch* mouthRollLower mouthRollUpper mouthShrugLower mouthShrugUpper mouthPress* mouthLowerDown* " +
  "mouthUpperUp* browDown* browInnerUp browOuterUp* cheekPuff cheekSquint* noseSneer* tongueOut";
/** ARKit's names in the order of the app's columns. */
const COLUMNS = [...SIDED(EYE, "Left"), ...SIDED(EYE, "Right"),
  ...REST.split(" ").flatMap((x) => (x.endsWith("*") ? [x.slice(0, -1) + "Left", x.slice(0, -1) + "Right"] : [x]))];
const ANGLES = ["Head", "LeftEye", "RightEye"].flatMap((part) => ["Yaw", "Pitch", "Roll"].map((axis) => part + axis));

type Matrix = ArrayLike<number>; // 3x3 by rows

const product = (a: Matrix, b: Matrix): number[] =>
  Array.from({ length: 9 }, (_, i) => [0, 1, 2].reduce((sum, k) => sum + a[i - (i % 3) + k] * b[3 * k + (i % 3)], 0));

/** Yaw, pitch and roll of a rotation in radians, with the app's signs: see avatar3d/motions/curves.py. */
function angles(m: Matrix): number[] {
  return [-Math.atan2(m[2], m[8]), Math.asin(Math.max(-1, Math.min(1, -m[5]))), -Math.atan2(m[3], m[4])];
}

function rotationVector(m: Matrix): number[] {
  const angle = Math.acos(Math.max(-1, Math.min(1, (m[0] + m[4] + m[8] - 1) / 2)));
  const s = angle < 1e-6 ? 0.5 : angle / (2 * Math.sin(angle));
  return [s * (m[7] - m[5]), s * (m[2] - m[6]), s * (m[3] - m[1])];
}

/** What frames say beside weights. */
class Frames {
  constructor(private readonly motion: Motion, private readonly header: Header, private readonly gaze: Float32Array) {}

  weight(frame: number, name: string): number {
    const e = this.header.expressions, at = e.indexOf(name);
    return at < 0 ? 0 : this.motion.expression[frame * e.length + at];
  }

  joints(frame: number): number[][] {
    const { joints } = this.header, at = 3 * joints.length * frame;
    return joints.map((_, i) => Array.from(this.motion.joints.subarray(at + 3 * i, at + 3 * i + 3)));
  }

  root(frame: number): number[] {
    const { root } = this.motion;
    return root ? Array.from(root.subarray(16 * frame, 16 * frame + 16)) : [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1];
  }

  private turn(frame: number, name: string): number[] {
    const [x, y, z] = this.joints(frame)[this.header.joints.indexOf(name)] ?? [0, 0, 0];
    return Array.from(rotation(x, y, z));
  }

  /** The whole turn of the head, the torso's included. */
  head(frame: number): number[] {
    const r = this.root(frame);
    return product(product([r[0], r[1], r[2], r[4], r[5], r[6], r[8], r[9], r[10]], this.turn(frame, "neck")), this.turn(frame, "head"));
  }

  /** The whole turn of an eye, what the weights say included. */
  eye(frame: number, side: number): number[] {
    const own = this.joints(frame)[this.header.joints.indexOf(side ? "eye_right" : "eye_left")] ?? [0, 0, 0];
    const sum = [...own];
    this.header.expressions.forEach((name, e) => {
      for (let c = 0; c < 3; c++) sum[c] += this.weight(frame, name) * this.gaze[6 * e + 3 * side + c];
    });
    return Array.from(rotation(sum[0], sum[1], sum[2]));
  }
}

function timecode(frame: number, fps: number): string {
  const whole = Math.round(fps), two = (x: number) => String(Math.floor(x)).padStart(2, "0"), seconds = Math.floor(frame / whole);
  return `${two(seconds / 3600)}:${two((seconds / 60) % 60)}:${two(seconds % 60)}:${two(frame % whole)}.000`;
}

/** Live Link Face's CSV. `gaze` (e 2 3): how weights turn the eyes, radians. */
export function toCsv(motion: Motion, header: Header, gaze: Float32Array): string {
  const frames = new Frames(motion, header, gaze), upper = (x: string) => x[0].toUpperCase() + x.slice(1);
  const lines = [["Timecode", "BlendShapeCount", ...COLUMNS.map(upper), ...ANGLES].join(",")];
  for (let f = 0; f < motion.frames; f++) {
    const turns = [frames.head(f), frames.eye(f, 0), frames.eye(f, 1)].flatMap(angles);
    const numbers = [...COLUMNS.map((x) => frames.weight(f, x)), ...turns].map((x) => x.toFixed(8));
    lines.push([timecode(f, motion.fps), String(COLUMNS.length + ANGLES.length), ...numbers].join(","));
  }
  return `${lines.join("\n")}\n`;
}

/** JSON as avatar3d/motions/writing.py writes it. */
export function toJson(motion: Motion, header: Header): string {
  const frames = new Frames(motion, header, new Float32Array(6 * header.expressions.length)), round = (x: number) => Math.round(x * 1e7) / 1e7;
  const rows = Array.from({ length: motion.frames }, (_, f) => JSON.stringify({
    time: round(f / motion.fps), weights: header.expressions.map((x) => round(frames.weight(f, x))), rotation: rotationVector(frames.head(f)).map(round),
    joints: frames.joints(f).map((x) => x.map(round)), root: frames.root(f).map(round),
  }));
  const head = { names: header.expressions, fps: motion.fps, metadata: { fps: motion.fps, made_with: "avatar3d player" }, joints: header.joints };
  return `${JSON.stringify(head).slice(0, -1)},"frames":[\n${rows.join(",\n")}\n]}\n`;
}
