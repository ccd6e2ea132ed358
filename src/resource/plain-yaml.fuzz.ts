/** Odd YAML for both readers: what the plain one takes, the full one must read the same. `--seconds N [--seed N]`. */
import { parseArgs } from 'node:util';
import { seededRandom } from '../base/random.ts';
import { compareReaders, oddYaml } from './testing/odd-yaml.ts';

const { values } = parseArgs({
  options: { seconds: { type: 'string', default: '10' }, seed: { type: 'string', default: String(Date.now() % 1e9) } },
});
const random = seededRandom(Number(values.seed) | 1, 2, 3, 4);
const endMs = performance.now() + Number(values.seconds) * 1000;
let tried = 0;
let taken = 0;
while (performance.now() < endMs) {
  const text = oddYaml(random);
  const result = compareReaders(text);
  tried++;
  taken += Number(result === 'same');
  if (result !== 'different') continue;
  console.error(`seed ${values.seed}: read differently: ${JSON.stringify(text)}`);
  process.exitCode = 1;
  break;
}
console.log(`seed ${values.seed}: ${tried} texts, ${taken} taken by the plain reader`);
