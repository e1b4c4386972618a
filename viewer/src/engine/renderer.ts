// Draws ordered splats with WebGL2: one texture of splats, quads in batches, no instancing (three times faster where
// there is no GPU).
import { WORDS } from "./order";
import { paintedSize, type Canvas } from "./painter";
import { FRAGMENT, PAINTED_FRAGMENT, PAINTED_VERTEX, PICTURE_FRAGMENT, PICTURE_VERTEX, VERTEX } from "./shaders";

const ROW = 1024; // splats in a row of the texture

export interface View {
  /** World to camera, 3x4 row-major, OpenCV axes. */
  w2c: Float64Array;
  /** fx fy cx cy, pixels. */
  lens: [number, number, number, number];
}

export interface Style {
  layer: "splats" | "points" | "depth";
  swell: number;
  range: [number, number];
  /** sRGB and alpha behind everything. */
  background: [number, number, number, number];
}

export class Renderer {
  readonly gl: WebGL2RenderingContext;
  private readonly program: WebGLProgram;
  private readonly uniforms = new Map<string, WebGLUniformLocation | null>();
  private readonly texture: WebGLTexture;
  private picture: { program: WebGLProgram; texture: WebGLTexture; ratio: number } | null = null;
  private readonly indices: WebGLBuffer;
  private quads = 0; // how many the index buffer holds
  private rows = 0;
  private count = 0;
  /** What the worker has drawn itself; null: splats are drawn here. */
  private painted: { program: WebGLProgram; texture: WebGLTexture; canvas: Canvas; size: [number, number] } | null = null;

  constructor(private readonly canvas: HTMLCanvasElement) {
    const options = { alpha: true, antialias: false, depth: false, stencil: false, premultipliedAlpha: true };
    const gl = canvas.getContext("webgl2", { ...options, powerPreference: "high-performance" });
    if (!gl) throw new Error("this browser has no WebGL2");
    this.gl = gl;
    this.program = linked(gl, VERTEX, FRAGMENT);
    this.texture = nearest(gl);
    this.indices = gl.createBuffer() as WebGLBuffer;
    gl.disable(gl.DITHER);
  }

  /** Whether there is no graphics card, so that WebGL is imitated by the processor. */
  get software(): boolean {
    const { gl } = this, info = gl.getExtension("WEBGL_debug_renderer_info");
    return /swiftshader|llvmpipe|software|basic render/i.test(String(gl.getParameter(info ? info.UNMASKED_RENDERER_WEBGL : gl.RENDERER)));
  }

  /** Takes a picture that the worker has drawn: premultiplied RGBA, top row first. */
  uploadPainted(data: Uint32Array, canvas: Canvas): void {
    const { gl } = this, size = paintedSize(canvas), bytes = new Uint8Array(data.buffer);
    const program = this.painted?.program ?? linked(gl, PAINTED_VERTEX, PAINTED_FRAGMENT), texture = this.painted?.texture ?? nearest(gl);
    gl.activeTexture(gl.TEXTURE0);
    gl.bindTexture(gl.TEXTURE_2D, texture);
    if (this.painted && this.painted.size.join() === size.join()) gl.texSubImage2D(gl.TEXTURE_2D, 0, 0, 0, ...size, gl.RGBA, gl.UNSIGNED_BYTE, bytes);
    else gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA, ...size, 0, gl.RGBA, gl.UNSIGNED_BYTE, bytes);
    this.painted = { program, texture, canvas, size };
  }

  private drawPainted(): void {
    const { gl, painted, canvas } = this;
    if (!painted) return;
    gl.useProgram(painted.program);
    gl.activeTexture(gl.TEXTURE0);
    gl.bindTexture(gl.TEXTURE_2D, painted.texture);
    gl.uniform2f(gl.getUniformLocation(painted.program, "scale"), painted.canvas.width / canvas.width, painted.canvas.height / canvas.height);
    gl.uniform1f(gl.getUniformLocation(painted.program, "tall"), canvas.height);
    gl.drawArrays(gl.TRIANGLE_STRIP, 0, 4);
  }

  /** Takes splats in drawing order. */
  upload(data: Uint32Array, count: number): void {
    if (this.painted) {
      this.gl.deleteTexture(this.painted.texture);
      this.gl.deleteProgram(this.painted.program);
      this.painted = null;
    }
    const { gl } = this, rows = data.length / (ROW * WORDS);
    gl.activeTexture(gl.TEXTURE0);
    gl.bindTexture(gl.TEXTURE_2D, this.texture);
    if (rows !== this.rows) {
      if (rows > gl.getParameter(gl.MAX_TEXTURE_SIZE)) throw new Error("more splats than this graphics card holds");
      gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA32UI, 2 * ROW, rows, 0, gl.RGBA_INTEGER, gl.UNSIGNED_INT, data);
      this.rows = rows;
    } else {
      const used = Math.max(1, Math.ceil(count / ROW));
      gl.texSubImage2D(gl.TEXTURE_2D, 0, 0, 0, 2 * ROW, used, gl.RGBA_INTEGER, gl.UNSIGNED_INT, data);
    }
    this.count = count;
  }

  /** Sets the picture behind the splats; null for a colour. */
  setPicture(image: ImageBitmap | null): void {
    const { gl } = this;
    if (this.picture) gl.deleteTexture(this.picture.texture);
    if (!image) {
      this.picture = null;
      return;
    }
    const program = this.picture?.program ?? linked(gl, PICTURE_VERTEX, PICTURE_FRAGMENT);
    const texture = gl.createTexture() as WebGLTexture;
    gl.activeTexture(gl.TEXTURE1);
    gl.bindTexture(gl.TEXTURE_2D, texture);
    gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA, gl.RGBA, gl.UNSIGNED_BYTE, image);
    gl.generateMipmap(gl.TEXTURE_2D);
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MIN_FILTER, gl.LINEAR_MIPMAP_LINEAR);
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_WRAP_S, gl.CLAMP_TO_EDGE);
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_WRAP_T, gl.CLAMP_TO_EDGE);
    this.picture = { program, texture, ratio: image.width / image.height };
  }

  draw(view: View, style: Style): void {
    const { gl, canvas } = this, { width, height } = canvas, b = style.background;
    gl.viewport(0, 0, width, height);
    gl.clearColor(b[0] * b[3], b[1] * b[3], b[2] * b[3], b[3]);
    gl.clear(gl.COLOR_BUFFER_BIT);
    gl.disable(gl.BLEND);
    if (this.picture) this.drawPicture(width / height);
    gl.enable(gl.BLEND);
    gl.blendFunc(gl.ONE, gl.ONE_MINUS_SRC_ALPHA);
    if (this.painted) return this.drawPainted();
    gl.useProgram(this.program);
    gl.activeTexture(gl.TEXTURE0);
    gl.bindTexture(gl.TEXTURE_2D, this.texture);
    const m = view.w2c;
    gl.uniform1i(this.at("splats"), 0);
    gl.uniformMatrix3fv(this.at("turn"), true, [m[0], m[1], m[2], m[4], m[5], m[6], m[8], m[9], m[10]]);
    gl.uniform3f(this.at("shift"), m[3], m[7], m[11]);
    gl.uniform4f(this.at("lens"), ...view.lens);
    gl.uniform2f(this.at("size"), width, height);
    gl.uniform1f(this.at("swell"), style.swell);
    gl.uniform1i(this.at("layer"), { splats: 0, points: 1, depth: 2 }[style.layer]);
    gl.uniform2f(this.at("range"), ...style.range);
    this.drawQuads();
  }

  private drawQuads(): void {
    const { gl } = this;
    if (this.count > this.quads) {
      this.quads = Math.max(this.count, 4 * ROW);
      const corners = new Uint32Array(6 * this.quads);
      for (let i = 0, v = 0; i < corners.length; i += 6, v += 4) {
        corners[i] = v;
        corners[i + 1] = corners[i + 4] = v + 1;
        corners[i + 2] = corners[i + 3] = v + 2;
        corners[i + 5] = v + 3;
      }
      gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, this.indices);
      gl.bufferData(gl.ELEMENT_ARRAY_BUFFER, corners, gl.STATIC_DRAW);
    }
    if (this.count) gl.drawElements(gl.TRIANGLES, 6 * this.count, gl.UNSIGNED_INT, 0);
  }

  /** The canvas's last frame as RGBA bytes, bottom row first; call right after `draw`. */
  pixels(): Uint8Array {
    const { gl, canvas } = this, out = new Uint8Array(4 * canvas.width * canvas.height);
    gl.readPixels(0, 0, canvas.width, canvas.height, gl.RGBA, gl.UNSIGNED_BYTE, out);
    return out;
  }

  private drawPicture(ratio: number): void {
    const { gl, picture } = this;
    if (!picture) return;
    gl.useProgram(picture.program);
    gl.activeTexture(gl.TEXTURE1);
    gl.bindTexture(gl.TEXTURE_2D, picture.texture);
    gl.uniform1i(gl.getUniformLocation(picture.program, "picture"), 1);
    const wide = ratio / picture.ratio;
    gl.uniform2f(gl.getUniformLocation(picture.program, "crop"), Math.min(1, wide), Math.min(1, 1 / wide));
    gl.drawArrays(gl.TRIANGLE_STRIP, 0, 4);
  }

  private at(name: string): WebGLUniformLocation | null {
    let found = this.uniforms.get(name);
    if (found === undefined) this.uniforms.set(name, (found = this.gl.getUniformLocation(this.program, name)));
    return found;
  }
}

function linked(gl: WebGL2RenderingContext, vertex: string, fragment: string): WebGLProgram {
  const program = gl.createProgram() as WebGLProgram;
  for (const [kind, source] of [[gl.VERTEX_SHADER, vertex], [gl.FRAGMENT_SHADER, fragment]] as const) {
    const shader = gl.createShader(kind) as WebGLShader;
    gl.shaderSource(shader, source);
    gl.compileShader(shader);
    gl.attachShader(program, shader);
    if (!gl.getShaderParameter(shader, gl.COMPILE_STATUS)) throw new Error(`shader: ${gl.getShaderInfoLog(shader)}`);
  }
  gl.linkProgram(program);
  if (!gl.getProgramParameter(program, gl.LINK_STATUS)) throw new Error(`shader: ${gl.getProgramInfoLog(program)}`);
  return program;
}

function nearest(gl: WebGL2RenderingContext): WebGLTexture {
  const texture = gl.createTexture() as WebGLTexture;
  gl.bindTexture(gl.TEXTURE_2D, texture);
  gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MIN_FILTER, gl.NEAREST);
  gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MAG_FILTER, gl.NEAREST);
  return texture;
}
