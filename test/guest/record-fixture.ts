import { existsSync, mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { messageOf } from './errors.ts';
import type { Guest } from './guest.ts';
import { bootGuest } from './guest.ts';
import { progressToStderr } from './progress.ts';
import { topologies } from './topologies.ts';

const usage = `Records what the kernel of a guest says of its memory, as directories for unit tests.

  npx tsx test/guest/record-fixture.ts [KERNEL-TOPOLOGY ...]     such as 7.3-numa2; all of them when none is named

A numa2 guest whose kernel has DAMON also gives KERNEL-damon: the files of a running kdamond with two schemes, and
KERNEL-trace: pages of its ring buffer of trace events, and the same events as the kernel prints them.
`;

const allFixtures = [
  '6.1-numa2',
  '6.12-numa2',
  '7.3-numa2',
  '7.3-cxl',
  '6.12-cxl',
  '7.3-two-sockets',
  '7.3-three-tiers',
];

const fixtures = join(import.meta.dirname, '..', 'fixtures');

/**
 * Copies with `cp`, which reads until the end: files of sysfs and procfs lie about their size, so tar cannot.
 * Devices of a bus are links into the device tree; each becomes a small directory of its attributes, and LINKS says
 * where the link led.
 */
const recordScript = `
out=/var/tmp/fixture
rm -rf "$out"; mkdir -p "$out"
keep() { xargs -r cp -P --parents -t "$out" 2>/dev/null; }
{
  find /sys/devices/system/node -maxdepth 1 -type f
  for node in /sys/devices/system/node/node[0-9]*; do
    find "$node" -maxdepth 1 -type f
    find "$node" -maxdepth 1 -type l -name 'memory[0-9]*'
    find "$node"/access* "$node"/memory_side_cache \\( -type f -o -type l \\) ! -path '*/power/*' 2>/dev/null
  done
  ls /sys/devices/system/cpu/online /sys/devices/system/cpu/possible
  find /sys/devices/system/memory -maxdepth 1 -type f -perm /444
  find /sys/devices/system/memory/memory* -maxdepth 1 \\( -type f -o -type l -name 'node*' \\)
  find /sys/devices/virtual/memory_tiering -type f ! -path '*/power/*'
  find /sys/kernel/mm/damon/admin /sys/kernel/mm/numa -type f
  find /sys/module/damon_*/parameters -type f
  find /sys/kernel/tracing/events/damon -name format
  ls /sys/kernel/tracing/events/header_page /sys/kernel/tracing/events/header_event
  ls /sys/kernel/mm/transparent_hugepage/enabled
  for name in iomem zoneinfo meminfo vmstat version cmdline sys/kernel/numa_balancing sys/kernel/random/boot_id; do
    echo "/proc/$name"
  done
  for device in /sys/bus/cxl/devices/* /sys/bus/dax/devices/*; do
    [ -e "$device" ] || continue
    echo "$device -> $(readlink "$device")" >>"$out/LINKS"
    find "$device/" -maxdepth 1 \\( -type f -perm /444 ! -name CDAT -o -type l ! -name subsystem ! -name 'firmware_node' \\)
    for part in "$device"/*/; do
      [ -L "\${part%/}" ] && continue
      # A directory with a subsystem is a device of its own, listed under its own name.
      [ -e "\${part}subsystem" ] && continue
      case $part in */power/) continue ;; esac
      find "$part" -maxdepth 1 -type f -perm /444
    done
  done
} 2>/dev/null | keep
uname -a >"$out/KERNEL"
chmod -R u+w "$out"
find "$out" | wc -l
`;

/** A kdamond over node 1's memory with two schemes that change nothing, and everything beside them made once. */
const damonScript = `
set -e
[ ! -e /sys/module/damon_stat/parameters/enabled ] || echo N >/sys/module/damon_stat/parameters/enabled
cd /sys/kernel/mm/damon/admin/kdamonds
echo 1 >nr_kdamonds
echo 1 >0/contexts/nr_contexts
cd 0/contexts/0
echo paddr >operations
echo 1 >targets/nr_targets
echo 1 >targets/0/regions/nr_regions
block=$((0x$(cat /sys/devices/system/memory/block_size_bytes)))
start=$(ls -d /sys/devices/system/node/node1/memory[0-9]* | sed 's/.*memory//' | sort -n | sed -n 2p)
echo $((start * block)) >targets/0/regions/0/start
echo $(((start + 4) * block)) >targets/0/regions/0/end
echo 50000 >monitoring_attrs/intervals/sample_us
echo 1000000 >monitoring_attrs/intervals/aggr_us
echo 20 >monitoring_attrs/nr_regions/max
echo 2 >schemes/nr_schemes
for scheme in 0 1; do
  cd schemes/$scheme
  echo 18446744073709551615 >access_pattern/sz/max
  echo 20 >access_pattern/nr_accesses/max
  echo 4294967295 >access_pattern/age/max
  for filters in filters core_filters ops_filters; do
    [ ! -e $filters ] || [ $filters = filters -a -e ops_filters ] || echo 1 >$filters/nr_filters
  done
  if [ -e ops_filters ]; then echo anon >ops_filters/0/type; else echo anon >filters/0/type; fi
  # Rejects the addresses 0 to 0, so nothing.
  [ ! -e core_filters ] || { echo addr >core_filters/0/type; echo Y >core_filters/0/matching; }
  [ ! -e dests ] || echo 1 >dests/nr_dests
  cd ../..
done
echo stat >schemes/0/action
echo migrate_hot >schemes/1/action
echo 0 >schemes/1/target_nid
echo 1 >schemes/1/quotas/goals/nr_goals
echo 1000 >schemes/1/quotas/goals/0/target_value
# A scheme that may move one byte moves nothing.
echo 1 >schemes/1/quotas/bytes
echo 1000 >schemes/1/quotas/reset_interval_ms
cd ../..
echo on >state
sleep 4
for command in update_schemes_stats update_schemes_tried_regions update_schemes_effective_quotas; do echo $command >state; done
rm -rf /var/tmp/fixture; mkdir -p /var/tmp/fixture
find /sys/kernel/mm/damon/admin /sys/module/damon_*/parameters -type f | xargs cp -P --parents -t /var/tmp/fixture 2>/dev/null || true
uname -a >/var/tmp/fixture/KERNEL
find /var/tmp/fixture | wc -l
echo off >state
`;

/**
 * A kdamond of two CPUs in turns, traced twice: by the instance \`raw\`, whose pages are kept as they are, and by \`text\`, which the
 * kernel prints. \`whole\`: read once at the end; \`live\`: pages taken while the kdamond writes; \`lost\`: too small a buffer.
 */
const traceScript = `
set -e
[ ! -e /sys/module/damon_stat/parameters/enabled ] || echo N >/sys/module/damon_stat/parameters/enabled
cd /sys/kernel/mm/damon/admin/kdamonds
echo 1 >nr_kdamonds
echo 1 >0/contexts/nr_contexts
cd 0/contexts/0
echo paddr >operations
echo 1 >targets/nr_targets
echo 1 >targets/0/regions/nr_regions
block=$((0x$(cat /sys/devices/system/memory/block_size_bytes)))
start=$(ls -d /sys/devices/system/node/node1/memory[0-9]* | sed 's/.*memory//' | sort -n | sed -n 2p)
echo $((start * block)) >targets/0/regions/0/start
echo $(((start + 4) * block)) >targets/0/regions/0/end
echo 50000 >monitoring_attrs/intervals/sample_us
echo 200000 >monitoring_attrs/intervals/aggr_us
echo 40 >monitoring_attrs/nr_regions/min
echo 60 >monitoring_attrs/nr_regions/max
echo 1 >schemes/nr_schemes
echo 18446744073709551615 >schemes/0/access_pattern/sz/max
echo 20 >schemes/0/access_pattern/nr_accesses/max
echo 1000 >schemes/0/access_pattern/age/max
echo stat >schemes/0/action
cd ../..
echo on >state
pid=$(cat pid)
out=/var/tmp/fixture
rm -rf "$out"; mkdir -p "$out"
cd /sys/kernel/tracing
cp events/header_page events/header_event "$out"
for event in damon_aggregated damos_before_apply; do cp events/damon/$event/format "$out/$event.format"; done
instance() {
  mkdir -p instances/$1
  echo 0 >instances/$1/tracing_on
  echo mono >instances/$1/trace_clock
  echo $2 >instances/$1/buffer_size_kb
  echo $pid >instances/$1/set_event_pid
  for event in damon_aggregated damos_before_apply; do echo 1 >instances/$1/events/damon/$event/enable; done
}
switch_on() {
  echo $1 >instances/raw/tracing_on
  echo $1 >instances/text/tracing_on
}
take_pages() {
  for cpu in 0 1; do
    dd if=instances/raw/per_cpu/cpu$cpu/trace_pipe_raw bs=4096 iflag=nonblock status=none >>"$out/$1-cpu$cpu.raw" 2>/dev/null || true
  done
}
record() {
  instance text 512
  instance raw $2
  switch_on 1
  for turn in 1 2 3 4 5 6 7 8; do
    taskset -pc $((turn % 2)) $pid >/dev/null
    sleep 0.3
    [ $1 != live ] || take_pages $1
  done
  switch_on 0
  take_pages $1
  cat instances/text/trace >"$out/$1.txt"
  rmdir instances/raw instances/text
}
record whole 256
record live 256
record lost 4
uname -a >"$out/KERNEL"
chmod -R u+w "$out"
find "$out" | wc -l
echo off >/sys/kernel/mm/damon/admin/kdamonds/0/state
`;

async function take(guest: Guest, script: string, name: string): Promise<void> {
  const count = await guest.check(script, { timeoutMs: 300_000 });
  const target = join(fixtures, name);
  if (existsSync(target)) rmSync(target, { recursive: true });
  mkdirSync(target, { recursive: true });
  await guest.copyOut('/var/tmp/fixture', target);
  progressToStderr(`${name}: ${count.trim()} files`);
}

async function record(name: string): Promise<void> {
  const dash = name.indexOf('-');
  const kernel = name.slice(0, dash);
  const topology = topologies.find((known) => known === name.slice(dash + 1));
  if (topology === undefined) throw new Error(`${name} is not KERNEL-TOPOLOGY; topologies: ${topologies.join(', ')}`);
  const guest = await bootGuest({ kernel, topology, numaBalancing: true });
  try {
    await take(guest, recordScript, name);
    const hasDamon = (await guest.run('test -d /sys/kernel/mm/damon/admin')).exitCode === 0;
    if (topology === 'numa2' && hasDamon) {
      await take(guest, damonScript, `${kernel}-damon`);
      await take(guest, traceScript, `${kernel}-trace`);
    }
  } finally {
    await guest.shutdown();
  }
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { help: { type: 'boolean', default: false } },
});
if (values.help) {
  process.stdout.write(usage);
} else {
  try {
    for (const name of positionals.length > 0 ? positionals : allFixtures) await record(name);
  } catch (error) {
    process.stderr.write(`${messageOf(error)}\n`);
    process.exitCode = 1;
  }
}
