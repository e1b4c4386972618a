// The two programs. Constants are those of avatar3d/ops/reference.py.

export const VERTEX = `#version 300 es
precision highp float;
precision highp int;
uniform highp usampler2D splats;
uniform mat3 turn;   // world to camera, OpenCV axes
uniform vec3 shift;
uniform vec4 lens;   // fx fy cx cy, pixels
uniform vec2 size;   // pixels
uniform float swell; // multiplies standard deviations
uniform int layer;   // 0 splats, 1 points, 2 depth
uniform vec2 range;  // depths at the ends of the ramp
flat out vec4 colour;
out vec2 at;

vec3 ramp(float t) {
  // Near is warm and light, far is dark blue.
  t = clamp(t, 0., 1.);
  return clamp(vec3(1.0 - 0.95 * t * t * (1.2 - .2 * t), .93 - 1.05 * t + .18 * t * t, .62 - .9 * t + .75 * t * t), 0., 1.);
}

void main() {
  int id = gl_VertexID >> 2;
  ivec2 cell = ivec2((id & 1023) << 1, id >> 10);
  uvec4 a = texelFetch(splats, cell, 0);
  gl_Position = vec4(0., 0., 2., 1.);
  colour = vec4(a.w & 255u, (a.w >> 8) & 255u, (a.w >> 16) & 255u, a.w >> 24) / 255.;
  if (colour.a <= 1. / 255.) return;
  vec3 p = turn * uintBitsToFloat(a.xyz) + shift;
  if (p.z <= .01) return;
  uvec4 b = texelFetch(splats, cell + ivec2(1, 0), 0);
  float unit = uintBitsToFloat(b.x) * swell * swell;
  vec2 s0 = unpackSnorm2x16(b.y), s1 = unpackSnorm2x16(b.z), s2 = unpackSnorm2x16(b.w);
  mat3 spread = mat3(s0.x, s0.y, s1.x, s0.y, s1.y, s2.x, s1.x, s2.x, s2.y);
  vec2 ratio = p.xy / p.z;
  // The linearisation is bent back 15 % of the image's width outside it.
  vec2 bent = clamp(ratio, -(lens.zw + .15 * size) / lens.xy, (1.15 * size - lens.zw) / lens.xy);
  vec3 jx = vec3(1., 0., -bent.x) * (lens.x / p.z), jy = vec3(0., 1., -bent.y) * (lens.y / p.z);
  vec3 u = jx * turn, v = jy * turn;
  vec3 su = spread * u;
  float A = unit * dot(u, su) + .3, B = unit * dot(v, su), D = unit * dot(v, spread * v) + .3;
  if (layer == 1) { A = D = 1.; B = 0.; colour.a = .96; }
  if (layer == 2) colour.rgb = ramp((p.z - range.x) / (range.y - range.x));
  if (!(A * D - B * B > 0.)) return;
  float mid = .5 * (A + D), away = length(vec2(.5 * (A - D), B));
  float l1 = mid + away, l2 = max(mid - away, 1e-6);
  vec2 along = abs(B) < 1e-9 ? (A >= D ? vec2(1., 0.) : vec2(0., 1.)) : normalize(vec2(B, l1 - A));
  vec2 corner = vec2(float(gl_VertexID & 1) * 2. - 1., float(gl_VertexID & 2) - 1.);
  at = corner * sqrt(2. * log(255. * colour.a));
  vec2 pixel = ratio * lens.xy + lens.zw + at.x * sqrt(l1) * along + at.y * sqrt(l2) * vec2(-along.y, along.x);
  gl_Position = vec4(pixel / size * vec2(2., -2.) + vec2(-1., 1.), 0., 1.);
}`;

export const FRAGMENT = `#version 300 es
precision highp float;
flat in vec4 colour;
in vec2 at;
out vec4 seen;
void main() {
  float a = colour.a * exp(-.5 * dot(at, at));
  if (a < 1. / 255.) discard;
  a = min(a, .999);
  seen = vec4(colour.rgb * a, a);
}`;

/** Draws a picture over the whole canvas, cropped to keep its proportions. */
export const PICTURE_VERTEX = `#version 300 es
uniform vec2 crop;
out vec2 at;
void main() {
  vec2 p = vec2(float(gl_VertexID & 1), float(gl_VertexID >> 1));
  at = vec2(.5) + (vec2(p.x, 1. - p.y) - .5) * crop;
  gl_Position = vec4(p * 2. - 1., 0., 1.);
}`;

export const PICTURE_FRAGMENT = `#version 300 es
precision mediump float;
uniform sampler2D picture;
in vec2 at;
out vec4 seen;
void main() { seen = vec4(texture(picture, at).rgb, 1.); }`;

/** Shows what was drawn without the graphics card, pixel by pixel. */
export const PAINTED_VERTEX = `#version 300 es
void main() { gl_Position = vec4(vec2(gl_VertexID & 1, gl_VertexID >> 1) * 2. - 1., 0., 1.); }`;

export const PAINTED_FRAGMENT = `#version 300 es
precision highp float;
uniform highp sampler2D painted;
uniform vec2 scale;
uniform float tall;
out vec4 seen;
void main() { seen = texelFetch(painted, ivec2(vec2(gl_FragCoord.x, tall - gl_FragCoord.y) * scale), 0); }`;
