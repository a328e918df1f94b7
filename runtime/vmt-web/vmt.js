// Bundles on onnxruntime-web, in a browser or in Node: no model is known here, the manifest names every tensor.
//
// Composing is that of the runtime's library in small: the grammar that keeps music playable, steady beats and a key as conditions,
// notes on sixteenths. What is missing here: hit points found in a film, overlapping windows (each begins anew, so no note is
// held from one to the next), guidance, takes, and the library's random numbers: the same seed gives other music.

import { load as parseYaml } from "js-yaml";
import * as ort from "onnxruntime-web/wasm";

// Threads need a page that is isolated from others, and one is enough for a small model.
ort.env.wasm.numThreads = 1;

export const STEPS_PER_SECOND = 100;
const [PAD, END, ON, OFF, SHIFT, VELOCITY, VOCABULARY] = [0, 1, 2, 90, 178, 278, 310];
const [LOWEST, LONGEST_SHIFT] = [21, 100];
/** Of notes before the first event that says how loud. */
const FIRST_VELOCITY = 100;
/** Caches grow by so many slots. */
const GROWTH = 64;

const size = (shape) => shape.reduce((product, axis) => product * axis, 1);
const floats = (shape, data = new Float32Array(size(shape))) => new ort.Tensor("float32", data, shape);
const numbers = (shape, values) => new ort.Tensor("int64", BigInt64Array.from(values, BigInt), shape);
/** How many steps pass with a token. */
const stepsOf = (token) => (token >= SHIFT && token < VELOCITY ? token - SHIFT + 1 : 0);

/** A model: its manifest and both graphs. */
export class Bundle {
  /** Loads a bundle; `read(name)` returns a promise of the bytes of one of its files. */
  static async load(read) {
    const manifest = parseYaml(new TextDecoder().decode(await read("manifest.yaml")));
    if (manifest.format > 4) throw new Error(`format must be 4 at most, but is ${manifest.format}: a newer version is needed`);
    const [encoder, decoder] = await Promise.all(
      ["encoder", "decoder"].map(async (graph) => {
        const { file, sha256 } = manifest[graph];
        const bytes = await read(file);
        const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
        const got = Array.from(hash, (byte) => byte.toString(16).padStart(2, "0")).join("");
        if (got !== sha256) throw new Error(`${file} must have the SHA-256 ${sha256}, but has ${got}`);
        return ort.InferenceSession.create(new Uint8Array(bytes));
      }),
    );
    return Object.assign(new Bundle(), { manifest, encoder, decoder, geometry: manifest.geometry });
  }

  /** Encodes pixels, u8 `[lanes, frames, 3, height, width]` with their mask `[lanes, frames]`; ready to decode. */
  async open(pixels, mask, lanes = 1) {
    const { encoder, context, state, decoder } = this.manifest;
    const { height, width } = this.geometry;
    const frames = mask.length / lanes;
    const frameMask = numbers([lanes, frames], mask);
    const feeds = { [encoder.frame_mask]: frameMask };
    if (encoder.features) {
      // Each picture behind the one before, the first behind itself; none is known.
      const size = 3 * height * width;
      const pairs = new Uint8Array(2 * pixels.length);
      for (let slot = 0; slot < mask.length; slot++) {
        const at = slot * size;
        const before = slot % frames ? at - size : at;
        pairs.set(pixels.subarray(before, before + size), 2 * at);
        pairs.set(pixels.subarray(at, at + size), 2 * at + size);
      }
      feeds[encoder.pixels] = new ort.Tensor("uint8", pairs, [mask.length, 2, 3, height, width]);
      feeds[encoder.features.known] = floats([0, encoder.features.size]);
      feeds[encoder.features.indices] = numbers([lanes, frames], Array.from(mask, (_, slot) => slot));
    } else {
      feeds[encoder.pixels] = new ort.Tensor("uint8", pixels, [lanes, frames, 3, height, width]);
    }
    const encoded = await this.encoder.run(feeds);
    const fixed = Object.fromEntries(context.map(({ from, to }) => [to, encoded[from]]));
    if (decoder.frame_mask) fixed[decoder.frame_mask] = frameMask;
    const states = state.map(({ from, to, append, first }) => {
      const value = first.encoder ? encoded[first.encoder] : floats([lanes, ...first.empty]);
      return { from, to, append, axis: first.empty && 1 + first.empty.indexOf(0), value };
    });
    return new Decoding(this, fixed, states, lanes);
  }
}

/** Lanes in the middle of being decoded. */
class Decoding {
  constructor(bundle, fixed, states, lanes) {
    Object.assign(this, { bundle, fixed, states, lanes, fed: 0, elapsed: new Array(lanes).fill(0), mask: [] });
  }

  /** Feeds a token to each lane; returns the logits of what follows, f32 `[lanes, 310]`. `conditions(step)` is what is known of a moment. */
  async step(tokens, conditions) {
    const names = this.bundle.manifest.decoder;
    const appends = this.states.filter((state) => state.append);
    if (appends.length && this.fed % GROWTH === 0) appends.forEach((state) => (state.value = grown(state, GROWTH)));
    const capacity = appends.length ? this.fed + GROWTH - (this.fed % GROWTH) : this.fed;
    this.elapsed = this.elapsed.map((elapsed, lane) => elapsed + stepsOf(tokens[lane]));

    const column = (values) => numbers([this.lanes, 1], values);
    const feeds = { [names.tokens]: column(tokens), ...this.fixed };
    for (const { to, value } of this.states) feeds[to] = value;
    if (names.positions) feeds[names.positions] = column(tokens.map(() => this.fed));
    if (names.times) feeds[names.times] = column(this.elapsed);
    if (names.token_mask) {
      const row = [...new Array(this.fed).fill(1), ...new Array(capacity - this.fed).fill(0), 1];
      feeds[names.token_mask] = numbers([this.lanes, row.length], this.elapsed.flatMap(() => row));
    }
    if (names.conditions) {
      const { input, columns } = names.conditions;
      const known = this.elapsed.map((step) => (conditions ? conditions(step) : {}));
      const rows = known.flatMap((known) => columns.map((column) => known[column] ?? 0));
      feeds[input] = numbers([this.lanes, 1, columns.length], rows);
    }
    const results = await this.bundle.decoder.run(feeds);
    for (const state of this.states) {
      if (state.append) write(state, results[state.from], this.fed);
      else state.value = results[state.from];
    }
    this.fed += 1;
    return results[names.logits].data;
  }

  /** The most probable tokens, step by step: what was fed, `[steps][lanes]`. */
  async greedy(steps) {
    const fed = [];
    for (let tokens = new Array(this.lanes).fill(PAD); fed.length < steps; ) {
      fed.push(tokens);
      const logits = await this.step(tokens);
      tokens = tokens.map((_, lane) => argmax(logits.subarray(lane * VOCABULARY, (lane + 1) * VOCABULARY)));
    }
    return fed;
  }
}

/** A state with room for more slots, which are masked until they are written. */
function grown({ value, axis }, more) {
  const shape = value.dims.with(axis, value.dims[axis] + more);
  const [from, to] = [size(value.dims.slice(axis)), size(shape.slice(axis))];
  const data = new Float32Array(size(shape));
  for (let row = 0; row * to < data.length; row++) data.set(value.data.subarray(row * from, (row + 1) * from), row * to);
  return floats(shape, data);
}

/** Writes what a step adds to a state into its slot `at`. */
function write({ value, axis }, { data }, at) {
  const inner = size(value.dims.slice(axis + 1));
  const row = inner * value.dims[axis];
  for (let from = 0, to = at * inner; from < data.length; from += inner, to += row) value.data.set(data.subarray(from, from + inner), to);
}

function argmax(logits) {
  let best = 0;
  for (let token = 1; token < logits.length; token++) if (logits[token] > logits[best]) best = token;
  return best;
}

/** Steady beats in 4/4 from step 0 on, for a window that begins at step `from`. */
export class Beats {
  constructor(tempo, from = 0) {
    Object.assign(this, { length: (60 * STEPS_PER_SECOND) / tempo, from });
  }

  /** The beat that step `here` of the window is on or behind, its sixteenths (five, in steps of the window), and which is the last by then. */
  around(here) {
    const number = Math.ceil((here + this.from + 0.5) / this.length) - 1;
    const parts = [0, 1, 2, 3, 4].map((part) => Math.round((number + part / 4) * this.length) - this.from);
    return { number, parts, current: Math.max([0, 1, 2, 3].findLastIndex((part) => parts[part] <= here), 0) };
  }

  /** The sixteenth nearest to a step. */
  nearest(here) {
    return this.around(here).parts.reduce((best, part) => (Math.abs(part - here) < Math.abs(best - here) ? part : best));
  }

  /** The first sixteenth behind a step. */
  next(here) {
    const { parts, current } = this.around(here);
    return Math.max(parts[current + 1], here + 1);
  }

  /** What a model is told of a step, by the names of the manifest. */
  conditions(here) {
    const { number, parts, current } = this.around(here);
    const inside = (here - parts[current]) / Math.max(parts[current + 1] - parts[current], 1);
    const until = (part, most) => Math.min(Math.max(parts[part] - here, 1), most);
    return {
      beat_position: 1 + 6 * current + Math.min(Math.floor(6 * inside), 5),
      beat_in_bar: 1 + (number % 4),
      beats_per_bar: 4,
      beat_length: 1 + Math.round(12 * Math.min(Math.max(Math.log2(this.length / 25), 0), 3)),
      to_sixteenth: until(current + 1, 60),
      to_eighth: until(current < 2 ? 2 : 4, 110),
      to_beat: until(4, 210),
    };
  }
}

/** Steps as the model is told them: one by one up to 100, for each 25 up to 1000, then one value for all that is further. */
function distance(steps) {
  if (steps <= 100) return 1 + Math.max(steps, 0);
  return 1 + (steps <= 1000 ? 100 + Math.ceil((steps - 100) / 25) : 137);
}

/** Which tokens may follow, so that whatever a model says can be played: as `Grammar` of the library. */
class Grammar {
  constructor(steps, tokens) {
    Object.assign(this, { steps, left: tokens, clock: 0, held: new Map(), velocity: 0, noteMustFollow: false, ended: false });
  }

  allows(token) {
    const { held, clock, noteMustFollow } = this;
    const rest = this.steps - clock;
    // Behind a token there must be room for the end of each held note, for time to pass, and for the end.
    const fits = (tokens, rest) => tokens + held.size + Math.ceil(rest / LONGEST_SHIFT) < this.left;
    const strikable = (tokens) => rest > 0 && held.size < 12 && fits(tokens, rest);
    if (this.ended || token === PAD) return false;
    if (token === END) return !noteMustFollow && rest === 0 && held.size === 0;
    if (token < OFF) return !held.has(token - ON) && strikable(2);
    if (noteMustFollow) return false;
    if (token < SHIFT) return held.get(token - OFF) < clock;
    if (token < VELOCITY) return stepsOf(token) <= rest && fits(1, rest - stepsOf(token));
    return token !== this.velocity && strikable(3);
  }

  accept(token) {
    this.left -= 1;
    this.clock += stepsOf(token);
    this.noteMustFollow = token >= VELOCITY;
    if (token >= VELOCITY) this.velocity = token;
    if (token >= ON && token < OFF) this.held.set(token - ON, this.clock);
    if (token >= OFF && token < SHIFT) this.held.delete(token - OFF);
    this.ended = token === END;
  }
}

/** How probable each token is, of those that may follow. With `beats`, pauses end and notes begin on sixteenths: as `Metre` of the library. */
function probabilities(logits, grammar, beats) {
  const most = logits.reduce((most, logit) => Math.max(most, logit));
  const weights = Array.from(logits, (logit) => Math.exp(logit - most));
  const { clock } = grammar;
  const pause = (steps) => SHIFT + steps - 1;
  const move = (from, to) => {
    weights[pause(to)] += weights[pause(from)];
    weights[pause(from)] = 0;
  };
  const longest = Math.min(grammar.steps - clock, LONGEST_SHIFT);
  for (let steps = longest + 1; longest > 0 && steps <= LONGEST_SHIFT; steps++) move(steps, longest);
  for (let token = 0; token < VOCABULARY; token++) if (!grammar.allows(token)) weights[token] = 0;
  if (!beats) return weights;
  const offGrid = (step) => Math.abs(beats.nearest(step) - step) > 1;
  for (let steps = 1; steps <= LONGEST_SHIFT; steps++) {
    if (weights[pause(steps)] === 0 || !offGrid(clock + steps)) continue;
    const nearest = beats.nearest(clock + steps);
    const rounded = (nearest > clock ? nearest : beats.next(clock)) - clock;
    if (rounded <= LONGEST_SHIFT && weights[pause(rounded)] > 0) move(steps, rounded);
  }
  const strikes = (token) => (token >= ON && token < OFF) || token >= VELOCITY;
  const held = weights.map((weight, token) => (strikes(token) && offGrid(clock) ? 0 : weight));
  return held.some((weight) => weight > 0) ? held : weights;
}

/** Draws from the most probable tokens that together have the share `topP` (nucleus sampling); `random()` is in 0..1. */
function draw(weights, topP, random) {
  const order = [...weights.keys()].filter((token) => weights[token] > 0).sort((a, b) => weights[b] - weights[a]);
  if (!order.length) throw new Error("no token may follow");
  let [kept, sum, total] = [0, 0, order.reduce((sum, token) => sum + weights[token], 0)];
  while (kept < order.length && sum < topP * total) sum += weights[order[kept++]];
  let at = random() * sum;
  for (const token of order.slice(0, kept)) if ((at -= weights[token]) < 0) return token;
  return order[kept - 1];
}

/** Random numbers in 0..1 (mulberry32). */
function generator(seed) {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let mixed = Math.imul(seed ^ (seed >>> 15), seed | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/**
 * Composes for a film of `seconds`, whose pictures are u8 `[3, height, width]`, one for each `frame_ms`. Yields notes `{ start, end, pitch,
 * velocity }` in seconds, in the order in which they end. `key` is 1 to 24: C to B major, C to B minor; 0 is left to the model. Models without
 * conditions are told neither tempo nor key.
 */
export async function* compose(bundle, pictures, seconds, { seed = 0, tempo = 90, key = 0, topP = 0.9 } = {}) {
  const { frames, frame_ms, height, width } = bundle.geometry;
  if (!(seconds > 0)) throw new RangeError(`seconds must be above 0, but are ${seconds}`);
  const [wanted, bytes] = [Math.ceil((seconds * 1000) / frame_ms), 3 * height * width];
  const wrong = pictures.find((picture) => picture.length !== bytes);
  if (pictures.length !== wanted || wrong) {
    const got = wrong ? `one has ${wrong.length}` : `there are ${pictures.length}`;
    throw new RangeError(`there must be ${wanted} pictures, one for each ${frame_ms} ms, of ${bytes} bytes each, but ${got}`);
  }
  for (const [name, value, low, high] of [["tempo", tempo, 20, 400], ["key", key, 0, 24], ["topP", topP, Number.MIN_VALUE, 1]]) {
    if (!(value >= low && value <= high)) throw new RangeError(`${name} must be ${low} to ${high}, but is ${value}`);
  }
  const random = generator(seed);
  const end = Math.round(seconds * STEPS_PER_SECOND);
  const window = (frames * frame_ms * STEPS_PER_SECOND) / 1000;
  for (let from = 0, first = 0; from < end; from += window, first += frames) {
    const clip = pictures.slice(first, first + frames);
    const pixels = new Uint8Array(clip.length * clip[0].length);
    clip.forEach((picture, number) => pixels.set(picture, number * picture.length));
    const decoding = await bundle.open(pixels, clip.map(() => 1));
    const beats = bundle.manifest.decoder.conditions && new Beats(tempo, from);
    const known = (step) => ({ ...beats.conditions(step), to_end: distance(end - from - step), key });
    const grammar = new Grammar(Math.min(window, end - from), bundle.manifest.max_tokens);
    const sounding = new Map();
    for (let token = PAD; !grammar.ended; ) {
      const logits = await decoding.step([token], beats && known);
      token = draw(probabilities(logits, grammar, beats), topP, random);
      grammar.accept(token);
      const time = (from + grammar.clock) / STEPS_PER_SECOND;
      if (token >= ON && token < OFF) {
        const velocity = grammar.velocity ? 1 + 4 * (grammar.velocity - VELOCITY) : FIRST_VELOCITY;
        sounding.set(token - ON, { start: time, pitch: LOWEST + token - ON, velocity });
      } else if (token >= OFF && token < SHIFT) {
        yield { ...sounding.get(token - OFF), end: time };
      }
    }
  }
}

/** A MIDI file of these notes: format 0, 480 ticks a beat. */
export function midi(notes, tempo = 90) {
  const ticks = (seconds) => Math.round((seconds * tempo * 480) / 60);
  const events = notes.flatMap(({ start, end, pitch, velocity }) => [
    [ticks(start), 1, [0x90, pitch, velocity]],
    [ticks(end), 0, [0x80, pitch, 0]],
  ]);
  // Notes that end come before those that begin.
  events.sort((a, b) => a[0] - b[0] || a[1] - b[1]);
  const bytes = (value, count) => Array.from({ length: count }, (_, index) => (value >> (8 * (count - 1 - index))) & 255);
  const variable = (value) => (value < 128 ? [value] : [...variable(value >> 7).map((byte) => byte | 128), value & 127]);
  const track = [0, 0xff, 0x51, 3, ...bytes(Math.round(6e7 / tempo), 3)];
  let before = 0;
  for (const [time, , message] of events) {
    track.push(...variable(time - before), ...message);
    before = time;
  }
  track.push(0, 0xff, 0x2f, 0);
  const header = [...new TextEncoder().encode("MThd"), ...bytes(6, 4), ...bytes(0, 2), ...bytes(1, 2), ...bytes(480, 2)];
  return new Uint8Array([...header, ...new TextEncoder().encode("MTrk"), ...bytes(track.length, 4), ...track]);
}
