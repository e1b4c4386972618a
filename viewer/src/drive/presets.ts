// Expressions by name: emotions, and the fifteen mouth shapes of speech (OVR's names).
import type { Values } from "./performer";

/** A value for both sides. */
const both = (values: Values): Values =>
  Object.fromEntries(Object.entries(values).flatMap(([k, v]) => (k.endsWith("*") ? ["Left", "Right"].map((s) => [k.slice(0, -1) + s, v]) : [[k, v]])));

export const EMOTIONS: Record<string, Values> = {
  Neutral: {},
  Happy: both({ "mouthSmile*": 0.75, "cheekSquint*": 0.55, "eyeSquint*": 0.3, "mouthDimple*": 0.2, "browOuterUp*": 0.12, jawOpen: 0.06 }),
  Laughing: both({ "mouthSmile*": 0.95, "cheekSquint*": 0.8, "eyeSquint*": 0.6, jawOpen: 0.42, "mouthUpperUp*": 0.35, "browOuterUp*": 0.2 }),
  Sad: both({ "mouthFrown*": 0.7, browInnerUp: 0.85, "browDown*": 0.1, mouthShrugLower: 0.35, "eyeBlink*": 0.18, "eyeLookDown*": 0.25 }),
  Angry: both({ "browDown*": 0.9, "eyeSquint*": 0.45, "noseSneer*": 0.5, "mouthPress*": 0.55, "mouthFrown*": 0.35, jawForward: 0.15 }),
  Surprised: both({ browInnerUp: 0.9, "browOuterUp*": 0.9, "eyeWide*": 0.85, jawOpen: 0.45, mouthFunnel: 0.15 }),
  Afraid: both({ browInnerUp: 0.95, "browOuterUp*": 0.35, "eyeWide*": 0.9, "mouthStretch*": 0.6, jawOpen: 0.16, "mouthLowerDown*": 0.2 }),
  Disgusted: both({ "noseSneer*": 0.85, "browDown*": 0.5, "mouthUpperUp*": 0.6, "eyeSquint*": 0.5, "mouthFrown*": 0.35, mouthShrugUpper: 0.25 }),
  Relaxed: both({ "mouthSmile*": 0.25, "eyeBlink*": 0.22, "browOuterUp*": 0.06, "cheekSquint*": 0.15 }),
  Doubtful: { browOuterUpLeft: 0.85, browInnerUp: 0.2, browDownRight: 0.55, mouthLeft: 0.25, mouthPressLeft: 0.35, mouthPressRight: 0.35 },
  Wink: { eyeBlinkLeft: 1, cheekSquintLeft: 0.6, mouthSmileLeft: 0.7, mouthSmileRight: 0.3, browDownLeft: 0.2 },
  Kiss: both({ mouthPucker: 0.95, mouthFunnel: 0.2, "eyeBlink*": 0.35, "cheekSquint*": 0.15 }),
};

export const VISEMES: Record<string, Values> = {
  sil: {},
  PP: both({ "mouthPress*": 0.5, mouthRollLower: 0.35, mouthRollUpper: 0.3, mouthClose: 0.05 }),
  FF: both({ mouthRollLower: 0.55, "mouthUpperUp*": 0.25, jawOpen: 0.07, "mouthLowerDown*": 0.05 }),
  TH: both({ jawOpen: 0.16, tongueOut: 0.35, "mouthLowerDown*": 0.15, "mouthUpperUp*": 0.1 }),
  DD: both({ jawOpen: 0.13, "mouthLowerDown*": 0.2, "mouthUpperUp*": 0.12, "mouthStretch*": 0.1 }),
  kk: both({ jawOpen: 0.17, "mouthLowerDown*": 0.15, "mouthUpperUp*": 0.1, "mouthStretch*": 0.12 }),
  CH: both({ mouthFunnel: 0.55, jawOpen: 0.1, "mouthUpperUp*": 0.15, "mouthLowerDown*": 0.2, mouthPucker: 0.15 }),
  SS: both({ jawOpen: 0.04, "mouthStretch*": 0.3, "mouthSmile*": 0.15, "mouthLowerDown*": 0.25, "mouthUpperUp*": 0.12 }),
  nn: both({ jawOpen: 0.12, "mouthLowerDown*": 0.15, "mouthUpperUp*": 0.08 }),
  RR: both({ mouthFunnel: 0.35, mouthPucker: 0.25, jawOpen: 0.12 }),
  aa: both({ jawOpen: 0.55, "mouthLowerDown*": 0.2, "mouthUpperUp*": 0.15 }),
  E: both({ jawOpen: 0.28, "mouthStretch*": 0.3, "mouthSmile*": 0.2, "mouthLowerDown*": 0.2 }),
  I: both({ jawOpen: 0.16, "mouthStretch*": 0.35, "mouthSmile*": 0.35, "mouthLowerDown*": 0.15 }),
  O: both({ jawOpen: 0.36, mouthFunnel: 0.6, mouthPucker: 0.25 }),
  U: both({ jawOpen: 0.14, mouthPucker: 0.75, mouthFunnel: 0.35 }),
};

/** What belongs together on the screen; every expression is in the first group whose pattern it fits. */
export const GROUPS: [string, RegExp][] = [
  ["Brows", /^brow/],
  ["Eyes", /^eye(?!Look)/],
  ["Look", /^eyeLook/],
  ["Jaw", /^jaw/],
  ["Smile and frown", /^mouth(Smile|Frown|Dimple|Stretch)/],
  ["Lips", /^mouth/],
  ["Cheeks, nose, tongue", /./],
];

/** `mouthUpperUpLeft` as people write it. */
export function spoken(name: string): string {
  const words = name.replace(/([A-Z])/g, " $1").toLowerCase().split(" ");
  const side = words.at(-1) === "left" || words.at(-1) === "right" ? words.pop() : undefined;
  const turn: Record<string, string> = { headYaw: "Turn", headPitch: "Nod", headRoll: "Tilt", gazeYaw: "Look sideways", gazePitch: "Look up or down" };
  if (turn[name]) return turn[name];
  // jawLeft and mouthRight are directions, not sides.
  if (side && words.length === 1) return `${upper(words[0])} ${side}`;
  return upper(words.join(" ")) + (side ? ` · ${side}` : "");
}

const upper = (text: string): string => text[0].toUpperCase() + text.slice(1);

/** The other side's name, or null. */
export function mirrored(name: string): string | null {
  if (/^(jaw|mouth)(Left|Right)$/.test(name)) return null;
  if (name.endsWith("Left")) return `${name.slice(0, -4)}Right`;
  return name.endsWith("Right") ? `${name.slice(0, -5)}Left` : null;
}
