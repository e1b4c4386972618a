// Zstandard (RFC 8878), unpacked: browsers have no decoder of their own for it, and .spz version 4 is made of it.

/** Unpacks frames to exactly `size` bytes. Throws on anything else: nothing larger is ever made. */
export function unzstd(data: Uint8Array, size: number): Uint8Array<ArrayBuffer> {
  const out = new Uint8Array(size);
  let at = 0, done = 0;
  while (at < data.length) {
    need(at + 8 <= data.length);
    const magic = u32(data, at);
    if ((magic & 0xfffffff0) >>> 0 === 0x184d2a50) {
      at += 8 + u32(data, at + 4);
      continue;
    }
    need(magic === 0xfd2fb528);
    const flags = data[at + 4], single = (flags >> 5) & 1, known = flags >> 6;
    need(!(flags & 3) && !(flags & 8)); // no dictionaries
    at += 5 + (single ? 0 : 1) + (known ? 1 << known : single);
    const frame = new Frame(data, out, done);
    for (let last = 0; !last; ) {
      need(at + 3 <= data.length);
      const head = data[at] | (data[at + 1] << 8) | (data[at + 2] << 16), kind = (head >> 1) & 3, length = head >>> 3;
      last = head & 1;
      at += 3;
      at = frame.block(kind, at, length);
    }
    done = frame.end;
    if (flags & 4) at += 4; // a checksum that is not looked at
  }
  need(done === size && at === data.length);
  return out;
}

function need(good: boolean): void {
  if (!good) throw new Error("its zstd stream is damaged");
}

const u32 = (d: Uint8Array, i: number): number => (d[i] | (d[i + 1] << 8) | (d[i + 2] << 16) | (d[i + 3] << 24)) >>> 0;
const log2 = (x: number): number => 31 - Math.clz32(x);

/** Bits from the end of a stream to its start; before the start there are zeros. */
class Backward {
  at: number;

  constructor(private readonly data: Uint8Array, private readonly start: number, end: number) {
    need(end > start && data[end - 1] !== 0);
    this.at = 8 * (end - 1 - start) + log2(data[end - 1]);
  }

  /** Bits that would come next, up to 25, without taking them. */
  peek(bits: number): number {
    const low = this.at - bits;
    if (low < 0) return this.at > 0 ? (this.word(0) & ((1 << this.at) - 1)) << -low : 0;
    return (this.word(low >> 3) >>> (low & 7)) & ((1 << bits) - 1);
  }

  take(bits: number): number {
    if (bits > 24) {
      const high = this.take(bits - 16);
      return high * 65536 + this.take(16);
    }
    const value = bits ? this.peek(bits) : 0;
    this.at -= bits;
    return value;
  }

  private word(byte: number): number {
    const { data } = this, i = this.start + byte;
    return data[i] | (data[i + 1] << 8) | (data[i + 2] << 16) | (data[i + 3] << 24);
  }
}

/** A table of finite-state entropy: symbol, bits to take, base of the next state. */
interface Table {
  log: number;
  symbol: Uint8Array;
  bits: Uint8Array;
  next: Uint16Array;
}

function table(counts: number[], log: number): Table {
  const size = 1 << log, symbol = new Uint8Array(size), bits = new Uint8Array(size), next = new Uint16Array(size);
  let high = size;
  counts.forEach((c, s) => c < 0 && (symbol[--high] = s));
  const step = (size >> 1) + (size >> 3) + 3;
  let at = 0;
  counts.forEach((c, s) => {
    for (let i = 0; i < c; i++) {
      symbol[at] = s;
      do at = (at + step) & (size - 1);
      while (at >= high);
    }
  });
  need(at === 0);
  const states = counts.map((c) => Math.abs(c));
  for (let i = 0; i < size; i++) {
    const state = states[symbol[i]]++;
    bits[i] = log - log2(state);
    next[i] = (state << bits[i]) - size;
  }
  return { log, symbol, bits, next };
}

/** A table that says one symbol for ever. */
const constant = (s: number): Table => ({ log: 0, symbol: Uint8Array.of(s), bits: new Uint8Array(1), next: new Uint16Array(1) });

/** Reads the description of a table; returns it and where the next thing starts. */
function described(data: Uint8Array, start: number, end: number, most: number, symbols: number): [Table, number] {
  let at = 8 * start;
  const peek = (n: number) => (u32(data, at >> 3) >>> (at & 7)) & ((1 << n) - 1);
  const log = peek(4) + 5, counts: number[] = [];
  at += 4;
  need(log <= most);
  for (let left = 1 << log; left > 0; ) {
    need(counts.length < symbols && at < 8 * end);
    const bits = log2(left + 1) + 1, low = (1 << (bits - 1)) - 1, edge = (1 << bits) - 2 - left;
    let value = peek(bits);
    at += bits;
    if ((value & low) < edge) {
      value &= low;
      at--;
    } else if (value > low) value -= edge;
    const count = value - 1;
    left -= Math.abs(count);
    counts.push(count);
    if (count === 0)
      for (let more = 3; more === 3; ) {
        more = peek(2);
        at += 2;
        need(counts.length + more <= symbols);
        for (let i = 0; i < more; i++) counts.push(0);
      }
  }
  const next = (at + 7) >> 3;
  need(next <= end);
  return [table(counts, log), next];
}

interface Huffman {
  most: number;
  symbol: Uint8Array;
  bits: Uint8Array;
}

function huffman(weights: number[]): Huffman {
  const sum = weights.reduce((total, w) => total + (w ? 1 << (w - 1) : 0), 0);
  need(sum > 0 && weights.length < 256);
  const most = log2(sum) + 1, left = (1 << most) - sum;
  need(most <= 11 && (left & (left - 1)) === 0);
  weights = [...weights, log2(left) + 1];
  const size = 1 << most, symbol = new Uint8Array(size), bits = new Uint8Array(size);
  let at = 0;
  for (let w = 1; w <= most; w++) // the longest codes come first
    weights.forEach((x, s) => {
      if (x !== w) return;
      symbol.fill(s, at, at + (1 << (w - 1)));
      bits.fill(most + 1 - w, at, (at += 1 << (w - 1)));
    });
  need(at === size);
  return { most, symbol, bits };
}

const LL_BASE = [16, 18, 20, 22, 24, 28, 32, 40, 48, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384, 32768, 65536];
const LL_BITS = [1, 1, 1, 1, 2, 2, 3, 3, 4, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16];
const ML_BASE = [35, 37, 39, 41, 43, 47, 51, 59, 67, 83, 99, 131, 259, 515, 1027, 2051, 4099, 8195, 16387, 32771, 65539];
const ML_BITS = [1, 1, 1, 1, 2, 2, 3, 3, 4, 4, 5, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16];
const ones = (n: number, x = 1): number[] => new Array<number>(n).fill(x);
const PLAIN: Table[] = [
  table([4, 3, ...ones(11, 2), 1, 1, 1, ...ones(9, 2), 3, 2, ...ones(5), ...ones(4, -1)], 6),
  table([...ones(6), 2, 2, 2, ...ones(15), ...ones(5, -1)], 5),
  table([1, 4, 3, ...ones(6, 2), ...ones(37), ...ones(7, -1)], 6),
];
const LIMITS = [[9, 36], [8, 32], [9, 53]]; // accuracy and symbols of lengths of literals, offsets, lengths of matches

/** One frame: what its blocks remember of those before them. */
class Frame {
  private tree: Huffman | null = null;
  private tables: (Table | null)[] = [null, null, null];
  private readonly repeated = [1, 4, 8];
  private readonly first: number;

  constructor(private readonly data: Uint8Array, private readonly out: Uint8Array, public end: number) {
    this.first = end;
  }

  /** Unpacks a block; returns where the next one starts. */
  block(kind: number, at: number, length: number): number {
    const { data, out } = this, next = at + (kind === 1 ? 1 : length);
    need(kind < 3 && next <= data.length);
    if (kind === 2) this.compressed(at, next);
    else {
      need(this.end + length <= out.length);
      if (kind === 1) out.fill(data[at], this.end, this.end + length);
      else out.set(data.subarray(at, next), this.end);
      this.end += length;
    }
    return next;
  }

  private compressed(start: number, end: number): void {
    const { data, out, repeated } = this, [literals, after] = this.literals(start, end);
    let at = after, count = data[at++], used = 0;
    need(at <= end);
    if (count === 255) {
      count = data[at] + (data[at + 1] << 8) + 0x7f00;
      at += 2;
    } else if (count > 127) count = ((count - 128) << 8) + data[at++];
    if (count) {
      const modes = data[at++];
      need(!(modes & 3));
      for (let t = 0; t < 3; t++) at = this.mode(t, (modes >> (6 - 2 * t)) & 3, at, end);
      const [ll, of, ml] = this.tables as [Table, Table, Table], bits = new Backward(data, at, end);
      let l = bits.take(ll.log), o = bits.take(of.log), m = bits.take(ml.log);
      for (let i = 0; i < count; i++) {
        const code = of.symbol[o], lengthCode = ml.symbol[m], literalCode = ll.symbol[l];
        need(code < 32 && lengthCode < 53 && literalCode < 36);
        const value = 2 ** code + bits.take(code);
        const length = lengthCode < 32 ? lengthCode + 3 : ML_BASE[lengthCode - 32] + bits.take(ML_BITS[lengthCode - 32]);
        const plain = literalCode < 16 ? literalCode : LL_BASE[literalCode - 16] + bits.take(LL_BITS[literalCode - 16]);
        if (i < count - 1) {
          l = ll.next[l] + bits.take(ll.bits[l]);
          m = ml.next[m] + bits.take(ml.bits[m]);
          o = of.next[o] + bits.take(of.bits[o]);
        }
        need(bits.at >= 0 && used + plain <= literals.length && this.end + plain + length <= out.length);
        out.set(literals.subarray(used, used + plain), this.end);
        used += plain;
        this.end += plain;
        const which = value > 3 ? 3 : value - 1 + (plain ? 0 : 1);
        const back = value > 3 ? value - 3 : which === 3 ? repeated[0] - 1 : repeated[which];
        if (which > 1) repeated[2] = repeated[1];
        if (which > 0) repeated[1] = repeated[0];
        repeated[0] = back;
        need(back > 0 && back <= this.end - this.first);
        for (let to = this.end + length; this.end < to; this.end++) out[this.end] = out[this.end - back];
      }
      need(bits.at === 0);
    } else need(at === end);
    need(this.end + literals.length - used <= out.length);
    out.set(literals.subarray(used), this.end);
    this.end += literals.length - used;
  }

  private mode(t: number, mode: number, at: number, end: number): number {
    if (mode === 0) this.tables[t] = PLAIN[t];
    else if (mode === 1) this.tables[t] = constant(this.data[at++]);
    else if (mode === 2) [this.tables[t], at] = described(this.data, at, end, LIMITS[t][0], LIMITS[t][1]);
    else need(this.tables[t] !== null);
    need(at <= end);
    return at;
  }

  /** The literals of a block, and where its sequences start. */
  private literals(start: number, end: number): [Uint8Array, number] {
    const { data } = this, kind = data[start] & 3, form = (data[start] >> 2) & 3;
    need(start < end);
    if (kind < 2) {
      const wide = form === 1 ? 2 : form === 3 ? 3 : 1;
      const head = u32(data, start) & (2 ** (8 * wide) - 1), size = wide === 1 ? head >> 3 : head >> 4, at = start + wide;
      need(size <= 1 << 17 && at + (kind ? 1 : size) <= end);
      return kind ? [new Uint8Array(size).fill(data[at]), at + 1] : [data.subarray(at, at + size), at + size];
    }
    const wide = form < 2 ? 3 : form + 2, bits = form < 2 ? 10 : form === 2 ? 14 : 18;
    const head = u32(data, start) + (wide === 5 ? data[start + 4] * 2 ** 32 : 0), mask = 2 ** bits;
    const size = Math.floor(head / 16) % mask, packed = Math.floor(head / 16 / mask) % mask;
    let at = start + wide;
    const stop = at + packed;
    need(size <= 1 << 17 && stop <= end);
    if (kind === 2) at = this.readTree(at, stop);
    need(this.tree !== null);
    const out = new Uint8Array(size);
    if (form === 0) this.stream(out, 0, size, at, stop);
    else {
      need(at + 6 <= stop);
      const part = (size + 3) >> 2, ends = [0, 2, 4].map((i) => data[at + i] | (data[at + i + 1] << 8));
      let from = at + 6;
      for (let i = 0; i < 4; i++) {
        const to = i < 3 ? from + ends[i] : stop;
        need(to <= stop);
        this.stream(out, Math.min(size, part * i), i < 3 ? Math.min(size, part * (i + 1)) : size, from, to);
        from = to;
      }
    }
    return [out, stop];
  }

  private stream(out: Uint8Array, from: number, to: number, start: number, end: number): void {
    const { most, symbol, bits } = this.tree as Huffman, read = new Backward(this.data, start, end);
    for (let i = from; i < to; i++) {
      const state = read.peek(most);
      out[i] = symbol[state];
      read.at -= bits[state];
    }
    need(read.at === 0);
  }

  private readTree(at: number, end: number): number {
    const { data } = this, head = data[at++], weights: number[] = [];
    need(at <= end);
    if (head >= 128) {
      const count = head - 127, next = at + ((count + 1) >> 1);
      need(next <= end);
      for (let i = 0; i < count; i++) weights.push(i & 1 ? data[at + (i >> 1)] & 15 : data[at + (i >> 1)] >> 4);
      this.tree = huffman(weights);
      return next;
    }
    const next = at + head;
    need(next <= end);
    const [t, from] = described(data, at, next, 6, 256), bits = new Backward(data, from, next);
    const states = [bits.take(t.log), bits.take(t.log)];
    for (let turn = 0; ; turn ^= 1) {
      need(weights.length < 255);
      weights.push(t.symbol[states[turn]]);
      states[turn] = t.next[states[turn]] + bits.take(t.bits[states[turn]]);
      if (bits.at < 0) {
        weights.push(t.symbol[states[turn ^ 1]]);
        break;
      }
    }
    this.tree = huffman(weights);
    return next;
  }
}
