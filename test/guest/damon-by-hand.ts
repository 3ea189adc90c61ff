import type { Guest } from './guest.ts';

const admin = '/sys/kernel/mm/damon/admin/kdamonds';
const damonStat = '/sys/module/damon_stat/parameters/enabled';

/** Every file below DAMON's kdamonds folder with its content: settings, states and pids. */
export async function damonTree(guest: Guest): Promise<readonly string[]> {
  const find = untilTaken(`tree=$(find . -type f -perm /444 -exec grep -H '' {} +)`);
  const files = await guest.check(`cd ${admin} && ${find} && echo "$tree"`);
  return files.trimEnd().split('\n').sort();
}

/** Whether DAMON_STAT is on; undefined where the kernel has none. */
export async function damonStatState(guest: Guest): Promise<string | undefined> {
  const { stdout } = await guest.run(`cat ${damonStat}`);
  return stdout.trim() === '' ? undefined : stdout.trim();
}

export async function switchDamonStat(guest: Guest, on: boolean): Promise<void> {
  await guest.check(`test ! -e ${damonStat} || echo ${on ? 'Y' : 'N'} >${damonStat}`);
}

/** Makes a kdamond as an administrator's script would, with a value of its own nearly everywhere; it is off. */
const makeScript = `
set -e
cd ${admin}
echo 1 >nr_kdamonds
cd 0/contexts
echo 1 >nr_contexts
cd 0
echo paddr >operations
echo 101000 >monitoring_attrs/intervals/sample_us
echo 2020000 >monitoring_attrs/intervals/aggr_us
echo 30300000 >monitoring_attrs/intervals/update_us
echo 11 >monitoring_attrs/nr_regions/min
echo 222 >monitoring_attrs/nr_regions/max
echo 1 >targets/nr_targets
echo 1 >targets/0/regions/nr_regions
echo 1073741824 >targets/0/regions/0/start
echo 1610612736 >targets/0/regions/0/end
echo 2 >schemes/nr_schemes
echo stat >schemes/0/action
echo migrate_cold >schemes/1/action
cd schemes/1
echo 1 >target_nid
echo 4040000 >apply_interval_us
echo 8192 >access_pattern/sz/min
echo 1048576 >access_pattern/sz/max
echo 7 >access_pattern/nr_accesses/min
echo 9 >access_pattern/nr_accesses/max
echo 5000 >access_pattern/age/min
echo 6000 >access_pattern/age/max
echo 3 >quotas/ms
echo 4096 >quotas/bytes
echo 5050 >quotas/reset_interval_ms
echo 600 >quotas/weights/nr_accesses_permil
echo 400 >quotas/weights/age_permil
filters=filters
test ! -d ops_filters || filters=ops_filters
echo 1 >$filters/nr_filters
echo anon >$filters/0/type
echo Y >$filters/0/matching
`;

export async function makeKdamondByHand(guest: Guest): Promise<void> {
  await guest.check(makeScript);
}

/**
 * Takes DAMON from whoever has it: switches all kdamonds off, makes one by hand and switches it on. False: the other one was quicker. In between it lets those
 * return whose commands have just ended: Linux 6.12 keeps them for up to 100 ms more, and hangs for good when their directory is removed meanwhile.
 */
export async function takeDamonOver(guest: Guest): Promise<boolean> {
  const off = `for kdamond in ${admin}/[0-9]*; do echo off >$kdamond/state; done`;
  return (await guest.run(`${off} 2>/dev/null; sleep 0.3; ${makeScript}\necho on >${admin}/0/state`)).exitCode === 0;
}

/** Switches the first kdamond, made by hand or not, on or off. */
export async function switchKdamond(guest: Guest, state: 'on' | 'off'): Promise<void> {
  await guest.check(untilTaken(`echo ${state} >${admin}/0/state`));
}

/** Bytes that a kdamond's first scheme may try now, by the kernel's own words. */
export async function effectiveBytes(guest: Guest, kdamond: number): Promise<number> {
  const ask = untilTaken(`echo update_schemes_effective_quotas >${admin}/${kdamond}/state`);
  return Number(await guest.check(`${ask} && cat ${admin}/${kdamond}/contexts/0/schemes/0/quotas/effective_bytes`));
}

/** A command of the daemon's may be under way (EBUSY, also to who reads a pid): this one is tried for 10 s. */
function untilTaken(command: string): string {
  return `for try in $(seq 100); do ${command} && break; test $try -lt 100 && sleep 0.1; done`;
}

export async function kdamondPids(guest: Guest): Promise<readonly number[]> {
  const { stdout } = await guest.run(
    `for file in ${admin}/*/pid; do test -e $file && ${untilTaken('{ cat $file || ! test -e $file; }')}; done`,
  );
  return stdout
    .split('\n')
    .filter((line) => line !== '' && line !== '-1')
    .map(Number);
}

/**
 * Makes the kernel give a kdamond up that is not switched off by anybody: it commits a region without a byte in it. For Linux before 7, later ones refuse that.
 * Other commands of the daemon may be in the way for a moment (EBUSY), or write the region anew.
 */
export async function killKdamondByCommit(guest: Guest, index: number): Promise<void> {
  await guest.check(`
cd ${admin}/${index}
pid=$(cat pid)
region=contexts/0/targets/0/regions/0
for _ in $(seq 200); do
  cat $region/start >$region/end; echo commit >state
  [ "$(cat pid)" = "$pid" ] || exit 0
  sleep 0.1
done 2>/dev/null
exit 1`);
}

export async function removeKdamonds(guest: Guest): Promise<void> {
  await guest.check(`echo 0 >${admin}/nr_kdamonds`);
}
