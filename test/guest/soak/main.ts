import { parseArgs } from 'node:util';
import { messageOf } from '../errors.ts';
import { bootWithTierd, TierdProcess } from '../tierd-in-guest.ts';
import { soak } from './soak.ts';

const usage = `Lets the daemon work for long under changes of policy, readers, and processes that come and go, in a guest.

  npm run soak -- [--minutes 60] [--kernel 6.12] [--engine damos|move_pages]

Ends with 0 when its memory and its descriptors stayed flat and no change of the policy was lost.
`;

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      minutes: { type: 'string', default: '60' },
      kernel: { type: 'string', default: '6.12' },
      engine: { type: 'string', default: 'auto' },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) {
    process.stdout.write(usage);
    return 0;
  }
  const minutes = Number(values.minutes);
  if (!(minutes > 0)) {
    process.stderr.write(`soak: --minutes ${values.minutes}: a number above 0 is wanted\n`);
    return 64;
  }
  const guest = await bootWithTierd({ kernel: values.kernel, topology: 'numa2' });
  try {
    const tierd = await TierdProcess.start(guest, { engine: values.engine });
    const { isFlat, lostUpdates, text } = await soak(guest, tierd, {
      minutes,
      onLine: (line) => process.stdout.write(`${line}\n`),
    });
    process.stdout.write(`${text}\n`);
    for (const lost of lostUpdates) process.stdout.write(`LOST: ${lost}\n`);
    await tierd.stop();
    return isFlat && lostUpdates.length === 0 ? 0 : 1;
  } finally {
    await guest.shutdown();
  }
}

main().then(
  (code) => {
    process.exitCode = code;
  },
  (error: unknown) => {
    process.stderr.write(`soak: ${messageOf(error)}\n`);
    process.exitCode = 1;
  },
);
