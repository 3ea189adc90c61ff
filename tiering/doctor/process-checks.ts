import type { Fact, HostFacts, Looker } from './facts.ts';
import type { Finding } from './finding.ts';
import { evidenceOf, unseen } from './reading.ts';

/** Bits of capabilities(7) that the daemon needs, and for what. */
const CAPABILITIES = [
  { bit: 21, name: 'CAP_SYS_ADMIN', why: 'to see page frames' },
  { bit: 23, name: 'CAP_SYS_NICE', why: 'to move the memory of other processes' },
  { bit: 19, name: 'CAP_SYS_PTRACE', why: 'to see the memory of other processes' },
  { bit: 2, name: 'CAP_DAC_READ_SEARCH', why: 'to read the page maps of other users' },
] as const;

/** What this process, and the daemon if started like it, may do. */
export function processChecks({ files, looker }: HostFacts): readonly Finding[] {
  return [capabilities(files.ownStatus, looker), cgroups(files.cgroupControllers)];
}

function capabilities(status: Fact, looker: Looker): Finding {
  const id = 'capabilities';
  const effective = status.state === 'value' ? /^CapEff:\s*([0-9a-f]+)$/m.exec(status.text)?.[1] : undefined;
  if (effective === undefined) return unseen(id, 'what this process may do', [status]);
  const evidence = [{ file: `${status.file} (CapEff)`, value: effective }];
  const missing = CAPABILITIES.filter(({ bit }) => ((BigInt(`0x${effective}`) >> BigInt(bit)) & 1n) === 0n);
  if (missing.length === 0) {
    const who = looker === 'daemon' ? 'The daemon may do all that it' : 'This process may do all that the daemon';
    return { id, severity: 'ok', title: `${who} has to`, evidence };
  }
  const lacks = `lacks ${missing.map(({ name, why }) => `${name} (${why})`).join(', ')}`;
  if (looker === 'daemon') {
    return {
      id,
      severity: 'error',
      title: `The daemon ${lacks}`,
      evidence,
      remedy: `systemctl edit tierd, with CapabilityBoundingSet=${CAPABILITIES.map(({ name }) => name).join(' ')} below [Service], then systemctl restart tierd`,
    };
  }
  return {
    id,
    severity: 'unseen',
    title: `This process ${lacks}`,
    evidence,
    remedy: 'the unit gives them to the daemon; for this look: sudo tierd doctor',
  };
}

function cgroups(controllers: Fact): Finding {
  const id = 'cgroups';
  const evidence = [evidenceOf(controllers)];
  if (controllers.state === 'unreadable') return unseen(id, 'which cgroups there are', [controllers]);
  if (controllers.state === 'value' && controllers.text.split(/\s+/).includes('memory')) {
    return { id, severity: 'ok', title: 'Cgroups are version 2, with the memory controller', evidence };
  }
  return {
    id,
    severity: 'info',
    title:
      controllers.state === 'absent'
        ? 'Cgroups are version 1 (or not mounted): cgroups.include and exclude want version 2'
        : 'The memory controller is off: cgroups.include and exclude cannot tell whose memory is whose',
    evidence,
    remedy: 'boot with systemd.unified_cgroup_hierarchy=1 cgroup_enable=memory',
  };
}
