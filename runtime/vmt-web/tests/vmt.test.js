import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import test from "node:test";
import { Beats, Bundle, compose, midi } from "../vmt.js";

const bundle = (name) => Bundle.load((file) => readFile(new URL(`../../../onnx/${name}/${file}`, import.meta.url)));

/** Grey pictures for so many seconds. */
function pictures({ geometry: { height, width, frame_ms } }, seconds) {
  const count = Math.ceil((seconds * 1000) / frame_ms);
  return Array.from({ length: count }, (_, number) => new Uint8Array(3 * height * width).fill((number * 37) % 256));
}

async function notes(model, seconds, options) {
  const all = [];
  for await (const note of compose(model, pictures(model, seconds), seconds, options)) all.push(note);
  return all;
}

test("a model is told what the library tells it", () => {
  const row = (beats, step) => Object.values(beats.conditions(step));
  // 90 beats a minute: sixteenths at 0, 17, 33, 50, 67. The rows are those of the library's own test.
  const beats = new Beats(90);
  assert.deepEqual(row(beats, 0), [1, 1, 4, 18, 17, 33, 67]);
  assert.deepEqual(row(beats, 16), [6, 1, 4, 18, 1, 17, 51]);
  assert.deepEqual(row(beats, 17), [7, 1, 4, 18, 16, 16, 50]);
  assert.deepEqual(row(beats, 66), [24, 1, 4, 18, 1, 1, 1]);
  assert.deepEqual(row(new Beats(90, 17), 0), row(beats, 17));
  assert.deepEqual([beats.nearest(24), beats.nearest(26), beats.next(17), beats.next(66)], [17, 33, 33, 67]);
});

for (const name of ["tiny-vmt", "tiny-seq2seq", "vmt-beat"]) {
  test(`what ${name} composes can be played`, async () => {
    const model = await bundle(name);
    const seconds = 12.34;
    const first = await notes(model, seconds, { seed: 1 });
    assert.ok(first.length > 0);
    assert.deepEqual(await notes(model, seconds, { seed: 1 }), first);
    assert.notDeepEqual(await notes(model, seconds, { seed: 2 }), first);
    const sounding = new Map();
    for (const { start, end, pitch, velocity } of first.toSorted((a, b) => a.start - b.start)) {
      assert.ok(start >= (sounding.get(pitch) ?? 0) && end > start && end <= seconds);
      assert.ok(pitch >= 21 && pitch <= 108 && velocity >= 1 && velocity <= 127);
      sounding.set(pitch, end);
    }
    if (name === "vmt-beat") {
      const sixteenth = 60 / 90 / 4;
      const off = first.filter(({ start }) => Math.abs(start / sixteenth - Math.round(start / sixteenth)) * sixteenth > 0.016);
      assert.deepEqual(off, []);
    }
  });
}

test("wrong calls are refused before any work", async () => {
  const model = await bundle("tiny-vmt");
  const seen = pictures(model, 2);
  const refused = (want, ...call) => assert.rejects(compose(model, ...call).next(), { name: "RangeError", message: want });
  await refused("there must be 12 pictures, one for each 250 ms, of 3072 bytes each, but there are 8", seen, 3);
  await refused("there must be 8 pictures, one for each 250 ms, of 3072 bytes each, but one has 5", seen.with(3, new Uint8Array(5)), 2);
  await refused("seconds must be above 0, but are NaN", seen, NaN);
  await refused("tempo must be 20 to 400, but is 0", seen, 2, { tempo: 0 });
  await refused("key must be 0 to 24, but is 25", seen, 2, { key: 25 });
});

test("a MIDI file holds each note", () => {
  const file = midi([{ start: 0, end: 1, pitch: 60, velocity: 80 }, { start: 1, end: 1.5, pitch: 60, velocity: 81 }], 120);
  const text = Buffer.from(file).toString("hex");
  const track = "00ff51030" + "7a120" + "00903c50" + "8740803c00" + "00903c51" + "8360803c00" + "00ff2f00";
  assert.equal(text, `4d546864000000060000000101e04d54726b${(track.length / 2).toString(16).padStart(8, "0")}${track}`);
});

test("a bundle that is not what it says is refused", async () => {
  const read = (file) => readFile(new URL(`../../../onnx/tiny-vmt/${file}`, import.meta.url));
  const damaged = Bundle.load(async (file) => (file === "decoder.onnx" ? (await read(file)).fill(0, 900, 901) : read(file)));
  await assert.rejects(damaged, /decoder.onnx must have the SHA-256/);
  const newer = Bundle.load(async (file) => Buffer.from((await read(file)).toString("latin1").replace("format: 4", "format: 9"), "latin1"));
  await assert.rejects(newer, /format must be 4 at most, but is 9: a newer version is needed/);
});
