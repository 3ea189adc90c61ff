import { expect, test } from 'vitest';
import type { Fault, FaultKind } from './fault-script.ts';
import { FAULTS, runScript } from './fault-script.ts';
import { seededRandom } from './random.ts';

const { TIERD_FAULT: only, TIERD_FAULTS: wanted = '24', TIERD_FAULT_SEED: seedText } = process.env;
const seed = Number(seedText ?? Date.now() % 1_000_000);
const AT_A_TIME = 8;

test(`whatever call goes wrong, tierd decides on or moves nothing, and the end leaves nothing on (seed ${seed})`, async () => {
  const wrong: string[] = [];
  const queue = [...(await faults())];
  const work = async () => {
    for (let fault = queue.shift(); fault !== undefined; fault = queue.shift()) wrong.push(...(await wrongWith(fault)));
  };
  await Promise.all(Array.from({ length: AT_A_TIME }, work));
  expect(wrong).toEqual([]);
}, 7_200_000);

/** One of TIERD_FAULT=CALL:KIND; as many as TIERD_FAULTS says, or `all`: half of them of the start, half of later calls. */
async function faults(): Promise<readonly Fault[]> {
  if (only !== undefined) {
    const [call, kind] = only.split(':');
    return FAULTS.flatMap((known) => (known === kind ? [{ call: Number(call), kind: known }] : []));
  }
  const plain = await runScript(undefined);
  expect(plain.wrong).toEqual([]);
  const { calls, callsOfStart } = plain;
  if (wanted === 'all') {
    return Array.from({ length: calls }, (_, at) => FAULTS.map((kind) => ({ call: at + 1, kind }))).flat();
  }
  const random = seededRandom(seed);
  return Array.from({ length: Number(wanted) }, (_, at) => {
    const [first, last] = at % 2 === 0 ? [1, callsOfStart] : [callsOfStart + 1, calls];
    const kind: FaultKind = FAULTS[Math.floor(at / 2) % FAULTS.length] ?? 'EIO';
    return { call: first + Math.floor(random() * (last - first + 1)), kind };
  });
}

async function wrongWith(fault: Fault): Promise<readonly string[]> {
  const { wrong, hit } = await runScript(fault);
  const again = `TIERD_FAULT=${fault.call}:${fault.kind} npx vitest run --project unit test/unit/tiering/fault-loop.test.ts`;
  return wrong.map((what) => `${what}: call ${fault.call} (${hit}) ${fault.kind}; again: ${again}`);
}
