// The greedy tokens of a bundle on onnxruntime-web: greedy.js FOLDER STEPS MASK, pixels on standard input, where MASK is 0 and 1 for each
// lane's pictures, lanes separated by commas. Prints a list of lanes.

import { readFile } from "node:fs/promises";
import { Bundle } from "../vmt.js";

const [folder, steps, mask] = process.argv.slice(2);
const lanes = mask.split(",");
const bundle = await Bundle.load((name) => readFile(`${folder}/${name}`));
const decoding = await bundle.open(new Uint8Array(await readFile("/dev/stdin")), lanes.flatMap((lane) => Array.from(lane, Number)), lanes.length);
const fed = await decoding.greedy(Number(steps));
console.log(JSON.stringify(lanes.map((_, lane) => fed.map((tokens) => tokens[lane]))));
