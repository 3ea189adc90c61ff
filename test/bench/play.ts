import { appendFileSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { messageOf } from '../guest/errors.ts';
import { formatGraded, gradedScenarios, measureGraded, measureRedrawn } from '../guest/graded-scenarios.ts';
import type { Guest } from '../guest/guest.ts';
import { counters, nodeMemory } from '../guest/guest-memory.ts';
import { fastNode, formatMeasurement, hotShareOf, measure, mib, sampleNow, scenarios } from '../guest/scenarios.ts';
import { Stage } from '../guest/stage.ts';
import type { TierdProcess } from '../guest/tierd-in-guest.ts';
import { bootWithTierd } from '../guest/tierd-in-guest.ts';
import type { Topology } from '../guest/topologies.ts';
import { topologies } from '../guest/topologies.ts';
import { GUEST_PACKAGES, TIERINGS } from './modes.ts';
import type { Mode } from './results.ts';
import { MODES } from './results.ts';

const usage = `Plays one scenario in a guest against this working tree, and prints second by second what becomes of it.

  npx tsx test/bench/play.ts SCENARIO [options]

  SCENARIO         ${[...Object.keys(gradedScenarios), ...Object.keys(scenarios)].join(', ')}
  --kernel K       6.12, 7.3 (default) or another cloud kernel that Debian lists
  --topology T     ${topologies.join(', ')} (default numa2)
  --mode M         ${MODES.join(', ')} (default tierd)
  --config JSON    what tierd's configuration file has, such as '{"engine":"move_pages"}'
  --seconds N      how long (default 120)
  --redraw         graded heat: draws the ranking anew then, and goes on for as long again
  --status N       prints tierd's status every N seconds
  --output DIR     tierd's log goes to DIR/tierd.log, its status over time to DIR/status.txt
`;

/** Prints a line every second: where the memory is, and what the kernel has moved. */
async function printSeconds(guest: Guest, where: () => string, ending: AbortSignal): Promise<void> {
  const before = (await counters(guest)).migratedBytes;
  let last = before;
  for (const began = Date.now(); !ending.aborted; ) {
    const { migratedBytes } = await counters(guest);
    const { freeBytes } = await nodeMemory(guest, fastNode);
    const seconds = ((Date.now() - began) / 1000).toFixed(1).padStart(6);
    const moved = `moved ${inMib(migratedBytes - before)} (+${inMib(migratedBytes - last).trim()})`;
    console.log(`${seconds} s  ${where()}  fast free ${inMib(freeBytes)}  ${moved}`);
    last = migratedBytes;
    await sleep(1_000, undefined, { signal: ending }).catch(() => undefined);
  }
}

function inMib(bytes: number): string {
  return `${Math.round(bytes / mib)} MiB`.padStart(9);
}

interface Options {
  readonly scenario: string;
  readonly kernel: string;
  readonly topology: Topology;
  readonly mode: Mode;
  readonly config: object;
  readonly seconds: number;
  readonly redraw: boolean;
  readonly statusSeconds: number | undefined;
  readonly output: string | undefined;
}

function parseOptions(args: readonly string[]): Options | undefined {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      kernel: { type: 'string', default: '7.3' },
      topology: { type: 'string', default: 'numa2' },
      mode: { type: 'string', default: 'tierd' },
      config: { type: 'string', default: '{}' },
      seconds: { type: 'string', default: '120' },
      redraw: { type: 'boolean', default: false },
      status: { type: 'string' },
      output: { type: 'string' },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  const mode = MODES.find((name) => name === values.mode);
  const topology = topologies.find((name) => name === values.topology);
  const [scenario] = positionals;
  const known: readonly string[] = [...Object.keys(gradedScenarios), ...Object.keys(scenarios)];
  if (values.help || scenario === undefined || positionals.length > 1 || mode === undefined || topology === undefined) {
    return undefined;
  }
  if (!known.includes(scenario)) throw new Error(`no scenario "${scenario}": there are ${known.join(', ')}`);
  const config: unknown = JSON.parse(values.config);
  if (typeof config !== 'object' || config === null) throw new Error('--config takes a JSON object');
  return {
    scenario,
    kernel: values.kernel,
    topology,
    mode,
    config,
    seconds: positive('--seconds', values.seconds),
    redraw: values.redraw,
    statusSeconds: values.status === undefined ? undefined : positive('--status', values.status),
    output: values.output,
  };
}

function positive(option: string, text: string): number {
  const value = Number(text);
  if (!(value > 0)) throw new Error(`${option} takes a number above 0, not "${text}"`);
  return value;
}

/** Tells the daemon's status again and again, until it is stopped. */
function followStatus(tierd: TierdProcess, { statusSeconds, output }: Options): { stop(): Promise<void> } {
  const ending = new AbortController();
  const told = (async (): Promise<void> => {
    for (const began = Date.now(); !ending.signal.aborted; ) {
      const { text } = await tierd.api.send('GET', '/v1/status?format=text');
      const words = `--- ${((Date.now() - began) / 1000).toFixed(1)} s\n${text}\n`;
      if (output !== undefined) appendFileSync(join(output, 'status.txt'), words);
      if (statusSeconds !== undefined) console.log(words.trimEnd());
      await sleep((statusSeconds ?? 5) * 1000, undefined, { signal: ending.signal }).catch(() => undefined);
    }
  })().catch((error: unknown) => console.log(`no status: ${messageOf(error)}`));
  return {
    stop: async () => {
      ending.abort();
      await told;
    },
  };
}

async function main(options: Options): Promise<void> {
  const { kernel, topology, mode, config, output } = options;
  if (output !== undefined) {
    mkdirSync(output, { recursive: true });
    writeFileSync(join(output, 'status.txt'), '');
  }
  const guest = await bootWithTierd({ kernel, topology, extraPackages: mode === 'hmsdk' ? GUEST_PACKAGES : [] });
  try {
    const stage = await Stage.open(guest);
    let tierd: TierdProcess | undefined;
    let status: { stop(): Promise<void> } | undefined;
    const start = async (): Promise<number> => {
      if (mode !== 'tierd') return TIERINGS[mode].start(stage);
      tierd = await stage.startTierd(config);
      if (output !== undefined || options.statusSeconds !== undefined) status = followStatus(tierd, options);
      return tierd.readyTime;
    };
    try {
      await play(stage, options, start);
    } finally {
      await status?.stop();
      if (tierd !== undefined && output !== undefined) {
        const { readyTime } = tierd;
        const log = (await tierd.log()).map(({ time, text }) => `${(time - readyTime).toFixed(1)} ${text}\n`);
        writeFileSync(join(output, 'tierd.log'), log.join(''));
      }
    }
  } finally {
    await guest.shutdown();
  }
}

async function play(stage: Stage, options: Options, start: () => Promise<number>): Promise<void> {
  const { guest } = stage;
  const graded = Object.values(gradedScenarios).find(({ name }) => name === options.scenario);
  const scenario = Object.values(scenarios).find(({ name }) => name === options.scenario);
  const ending = new AbortController();
  let printing: Promise<void> | undefined;
  const startAndPrint = (where: () => string) => async (): Promise<number> => {
    const since = await start();
    printing = printSeconds(guest, where, ending.signal);
    return since;
  };
  try {
    if (graded !== undefined) {
      const workload = await stage.placeGraded(graded);
      const where = (): string => {
        const { shares, bytes } = workload.latest;
        return `share ${(shares.get(fastNode) ?? 0).toFixed(3)}, ${inMib(bytes.get(fastNode) ?? 0)} fast`;
      };
      const { seconds } = options;
      const measured = [await measureGraded(guest, graded, workload, startAndPrint(where), { seconds })];
      if (options.redraw) measured.push(await measureRedrawn(guest, graded, workload, { seconds }));
      for (const one of measured) console.log(formatGraded(one, [0.9 * one.possibleShare, 0.95 * one.possibleShare]));
    } else if (scenario !== undefined) {
      const workloads = await stage.place(scenario);
      const where = (): string => {
        const sample = sampleNow(workloads);
        return `hot share ${hotShareOf(sample).toFixed(3)}, cold ${inMib(sample.coldFastBytes)} fast`;
      };
      const until = { untilHotShare: Number.POSITIVE_INFINITY, timeoutMs: options.seconds * 1000, watchMs: 0 };
      console.log(formatMeasurement(await measure(guest, scenario, workloads, startAndPrint(where), until)));
    }
  } finally {
    ending.abort();
    await printing;
  }
}

try {
  const options = parseOptions(process.argv.slice(2));
  if (options === undefined) process.stdout.write(usage);
  else await main(options);
  process.exit(0);
} catch (error) {
  process.stderr.write(`${messageOf(error)}\n`);
  process.exit(1);
}
