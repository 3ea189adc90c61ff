import { parseArgs } from 'node:util';
import { messageOf } from './errors.ts';
import { bootGuest } from './guest.ts';
import { topologies } from './topologies.ts';
import { installGraded } from './workload/graded.ts';
import { installWorkload } from './workload/workload.ts';

const usage = `Boots a guest with a Debian kernel and runs commands in it.

  npx tsx test/guest/shell.ts [options] -- COMMAND      runs COMMAND, prints its output, ends with its exit code
  npx tsx test/guest/shell.ts [options]                 keeps the guest running and prints how to connect, until Ctrl-C

The guest has the tools "workload" and "graded" (see workload --help, graded --help).

  --kernel K          6.1, 6.12, 7.3 (default) or another cloud kernel that Debian lists
  --topology T        ${topologies.join(', ')} (default numa2)
  --build DIRECTORY   the guest has a copy of it as /opt/tierd
  --copy HOST:GUEST   copies a file or directory in before the command (may be repeated)
  --package NAME      a Debian package more in the image (may be repeated)
  --online-movable    topology cxl: memory that can be taken offline again
  --no-cxl            topology cxl: leave the memory device alone
  --numa-balancing    leave the kernel's NUMA balancing on (it moves hot memory by itself)
  --timeout SECONDS   for the command (default 3600)
`;

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      kernel: { type: 'string', default: '7.3' },
      topology: { type: 'string', default: 'numa2' },
      build: { type: 'string' },
      copy: { type: 'string', multiple: true, default: [] },
      package: { type: 'string', multiple: true, default: [] },
      'online-movable': { type: 'boolean', default: false },
      'no-cxl': { type: 'boolean', default: false },
      'numa-balancing': { type: 'boolean', default: false },
      timeout: { type: 'string', default: '3600' },
      help: { type: 'boolean', default: false },
    },
  });
  const topology = topologies.find((name) => name === values.topology);
  if (values.help || topology === undefined) {
    process.stdout.write(usage);
    return values.help ? 0 : 2;
  }
  const guest = await bootGuest({
    kernel: values.kernel,
    topology,
    ...(values.build === undefined ? {} : { buildDir: values.build }),
    extraPackages: values.package,
    bringUpCxl: !values['no-cxl'],
    numaBalancing: values['numa-balancing'],
    onlineMovable: values['online-movable'],
  });
  try {
    await installWorkload(guest);
    await installGraded(guest);
    for (const pair of values.copy) {
      const colon = pair.indexOf(':');
      await guest.copyIn(pair.slice(0, colon), pair.slice(colon + 1));
    }
    if (positionals.length > 0) {
      const result = await guest.run(positionals.join(' '), { timeoutMs: Number(values.timeout) * 1000 });
      process.stdout.write(result.stdout);
      process.stderr.write(result.stderr);
      return result.exitCode;
    }
    process.stdout.write(
      `kernel ${guest.release}, topology ${topology}; Ctrl-C ends it. Connect with:\n${guest.sshCommandLine}\n`,
    );
    await new Promise<void>((resolve) => {
      process.once('SIGINT', resolve);
      process.once('SIGTERM', resolve);
      // The guest may end by itself: nobody waits for nothing.
      const timer = setInterval(() => {
        if (!guest.running) resolve();
      }, 500);
      timer.unref();
    });
    return 0;
  } finally {
    await guest.shutdown();
  }
}

try {
  process.exitCode = await main();
} catch (error) {
  process.stderr.write(`${messageOf(error)}\n`);
  process.exitCode = 1;
}
