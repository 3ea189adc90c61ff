import { expect, it } from 'vitest';
import { compileCheck } from '../../api/schema/check.ts';
import type { DiagnosisBody } from '../../api/views/diagnosis-view.ts';
import { DiagnosisSchema } from '../../api/views/diagnosis-view.ts';
import { eventually } from './eventually.ts';
import type { Guest } from './guest.ts';
import { slowNode } from './scenarios.ts';

type Finding = DiagnosisBody['findings'][number];

const asNobody = 'setpriv --reuid=65534 --regid=65534 --clear-groups';
const doctor = 'node /opt/tierd/tierd.js doctor';
/** The memory of an emulated expander goes and comes slowly. */
const patience = { timeoutMs: 180_000 };

const checkDiagnosis = compileCheck(DiagnosisSchema);

/** `tierd doctor` on a host whose CXL memory is there and not used; no daemon may run. Leaves all memory online. */
export function doctorTests(currentGuest: () => Guest): void {
  it('the doctor finds memory blocks that are offline, and its command brings them online', async () => {
    const guest = currentGuest();
    await guest.check('daxctl offline-memory dax0.0', patience);
    const finding = await findingOf(guest, 'offline-blocks');
    expect(finding).toMatchObject({ severity: 'warning', title: `Node ${slowNode} has 4 memory block(s) offline` });
    await evidenceIsSo(guest, finding);

    await guest.check(finding?.remedy ?? 'false', patience);
    expect(await findingOf(guest, 'offline-blocks')).toBeUndefined();
    // As it was brought online it can be taken offline again.
    expect(await findingOf(guest, 'not-movable')).toBeUndefined();
  });

  it('the doctor finds a device in devdax mode, and its command makes system RAM of it', async () => {
    const guest = currentGuest();
    await guest.check('daxctl reconfigure-device --mode=devdax --force dax0.0', patience);
    const finding = await findingOf(guest, 'dax-mode');
    expect(finding).toMatchObject({
      severity: 'warning',
      evidence: [{ file: '/sys/bus/dax/devices/dax0.0/driver', value: 'device_dax' }],
    });
    expect((await guest.check('basename $(readlink -f /sys/bus/dax/devices/dax0.0/driver)')).trim()).toBe('device_dax');

    await guest.check(finding?.remedy ?? 'false', patience);
    expect(await findingOf(guest, 'dax-mode')).toBeUndefined();
    await eventually('its memory is used', 60_000, async () => {
      const findings = await findingsOf(guest);
      return !findings.some(({ id, severity }) => id === 'offline-blocks' || severity === 'error');
    });
  });

  it('without root the doctor says what it could not see, and calls nothing of it wrong', async () => {
    const guest = currentGuest();
    // As on a host: the disk of the build is for root.
    await guest.check('chmod a+rx /opt/tierd && chmod a+r /opt/tierd/tierd.js');
    const findings = await findingsOf(guest, asNobody);
    // That there are no kdamonds it does see: their folder is anybody's to list.
    for (const id of ['damon', 'trace', 'kernel', 'damon-modules', 'capabilities']) {
      expect(findings.find((finding) => finding.id === id)).toMatchObject({
        severity: 'unseen',
        remedy: expect.stringContaining('sudo tierd doctor'),
      });
    }
    expect(findings.find(({ id }) => id === 'damon')?.evidence).toEqual([
      { file: '/sys/kernel/mm/damon/admin/kdamonds/nr_kdamonds', value: '(cannot be read: EACCES)' },
    ]);
    expect(findings.filter(({ severity }) => severity === 'error')).toEqual([]);
    expect(findings.find(({ id }) => id === 'tiers')).toMatchObject({ severity: 'ok', title: '2 memory tiers' });

    const { stdout } = await guest.run(`cd / && ${asNobody} ${doctor}`);
    const unseen = findings.filter(({ severity }) => severity === 'unseen').length;
    expect(stdout.trimEnd()).toMatch(new RegExp(`, ${unseen} things not seen$`));
  });
}

async function findingsOf(guest: Guest, as = ''): Promise<readonly Finding[]> {
  // Its exit code tells the worst finding.
  const { stdout, stderr } = await guest.run(`cd / && ${as} ${doctor} --json`);
  const checked = stdout === '' ? undefined : checkDiagnosis(JSON.parse(stdout));
  if (checked?.ok !== true) throw new Error(`the doctor gave no diagnosis: ${stdout}${stderr}`);
  return checked.value.findings;
}

async function findingOf(guest: Guest, id: string): Promise<Finding | undefined> {
  return (await findingsOf(guest)).find((finding) => finding.id === id);
}

/** Each file that the finding names has what it says. */
async function evidenceIsSo(guest: Guest, finding: Finding | undefined): Promise<void> {
  expect(finding?.evidence.length).toBeGreaterThan(0);
  for (const { file, value } of finding?.evidence ?? []) {
    expect((await guest.check(`cat ${file}`)).trim()).toBe(value);
  }
}
