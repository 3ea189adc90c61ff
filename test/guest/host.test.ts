import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { leastGradedBytes, possibleShare } from './graded-scenarios.ts';
import { parseQemuVersion, qemuIsUsable } from './host-packages.ts';
import { newestKernel, parseBroken, parseMadison } from './kernels.ts';
import { parseDeb822, parseSourcesList } from './mirror.ts';
import { Qemu } from './qemu.ts';
import { topologies, topologyArguments } from './topologies.ts';
import { gradedCommand, parseGradedReport } from './workload/graded.ts';
import { hotShare, parseReport, workloadCommand } from './workload/workload.ts';

describe('package sources of this machine', () => {
  it('are read from deb822 files, with comments, continued lines and disabled stanzas', () => {
    const text = [
      'Types: deb deb-src',
      '# a comment',
      'URIs: http://mirror.test/debian',
      'Suites: trixie',
      ' trixie-updates',
      'Components: main',
      'Signed-By: /usr/share/keyrings/k.gpg',
      '',
      'Types: deb',
      'URIs: http://off.test/debian',
      'Suites: trixie',
      'Enabled: no',
    ].join('\n');
    expect(parseDeb822(text)).toEqual([
      { uri: 'http://mirror.test/debian', suites: ['trixie', 'trixie-updates'], signedBy: '/usr/share/keyrings/k.gpg' },
    ]);
  });

  it('are read from one-line files', () => {
    const text = '# deb http://no.test x main\ndeb [arch=amd64 signed-by=/k.gpg] http://a.test/debian bookworm main\n';
    expect(parseSourcesList(text)).toEqual([{ uri: 'http://a.test/debian', suites: ['bookworm'], signedBy: '/k.gpg' }]);
  });
});

describe('kernels', () => {
  const names = ['6.1.0-47', '6.1.0-50', '6.12.107+deb13', '6.12.94+deb13', '6.19.14+deb13', '7.3.4+deb13'];
  const packages = names.map((name) => ({ name: `linux-image-${name}-cloud-amd64`, version: name, suite: 'trixie' }));

  it('are found by the beginning of their version, the newest first', () => {
    expect(newestKernel(packages, '6.1')?.version).toBe('6.1.0-50');
    expect(newestKernel(packages, '6.12')?.version).toBe('6.12.107+deb13');
    expect(newestKernel(packages, '6.12.94')?.version).toBe('6.12.94+deb13');
    expect(newestKernel(packages, '6.2')).toBeUndefined();
  });

  it('are parsed from apt-cache madison', () => {
    const line =
      'linux-image-7.3.4+deb13-cloud-amd64 | 7.3.4-1~bpo13+1 | http://m.test/debian trixie-backports/main amd64 Packages';
    expect(parseMadison(line)).toEqual([
      { name: 'linux-image-7.3.4+deb13-cloud-amd64', version: '7.3.4-1~bpo13+1', suite: 'trixie-backports' },
    ]);
  });
});

describe('kernels whose modules the mirror no longer has', () => {
  it('are told from apt-cache depends', () => {
    const text =
      'image-a\n  Depends: kmod\n  Depends: <linux-modules-a>\nimage-b\n |Depends: <linux-initramfs-tool>\n  Depends: linux-modules-b\n';
    expect([...parseBroken(text)]).toEqual(['image-a']);
  });
});

describe('QEMU', () => {
  it.each([
    ['QEMU emulator version 7.2.22 (Debian 1:7.2+dfsg-7)', false],
    ['QEMU emulator version 8.0.5', false],
    ['QEMU emulator version 8.1.0', true],
    ['QEMU emulator version 10.0.2 (Debian 1:10.0.2+ds-2)', true],
  ])('%s: usable %s', (text, usable) => {
    const version = parseQemuVersion(text);
    expect(version !== undefined && qemuIsUsable(version)).toBe(usable);
  });

  it.each(topologies)('topology %s names each memory backend once', (topology) => {
    const backends = topologyArguments(topology).filter((word) => word.startsWith('memory-backend-ram'));
    expect(new Set(backends).size).toBe(backends.length);
  });
});

describe('a guest for which this machine has too little memory', () => {
  it('is not started, and says so', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'tierd-host-test-'));
    const lock = join(tmpdir(), `tierd-host-test-${process.pid}.lock`);
    const told: string[] = [];
    const qemu = await Qemu.start({ directory, lock, neededMib: 2 ** 40, args: ['--version'] }, (line) =>
      told.push(line),
    );
    await expect(qemu.waitForConsole('never', 1, 10_000)).rejects.toThrow(
      /needs 1099511627776 MiB of free memory on this machine, which has \d+ MiB/,
    );
    expect(existsSync(directory)).toBe(false);
    rmSync(lock);
  });
});

describe('memory of graded heat', () => {
  /** 1000 bytes: a tenth serves 60 % of the accesses, the rest 40 %; the hottest lies on the slow node. */
  const shares = Array.from({ length: 101 }, (_, percent) =>
    percent <= 10 ? percent * 0.06 : 0.6 + ((percent - 10) / 90) * 0.4,
  );
  const onSlow = Array.from({ length: 101 }, (_, percent) => Math.min(percent * 10, 300));
  const onFast = Array.from({ length: 101 }, (_, percent) => Math.max(0, percent * 10 - 300));
  const hottest = {
    shares,
    bytes: new Map([
      [0, onFast],
      [1, onSlow],
    ]),
  };

  it('a node serves at best what its bytes of the hottest memory do', () => {
    expect(possibleShare(hottest, 1000, 0)).toBe(0);
    expect(possibleShare(hottest, 1000, 50)).toBeCloseTo(0.3);
    expect(possibleShare(hottest, 1000, 55)).toBeCloseTo(0.33);
    expect(possibleShare(hottest, 1000, 550)).toBeCloseTo(0.8);
    expect(possibleShare(hottest, 1000, 1000)).toBeCloseTo(1);
    expect(possibleShare(hottest, 1000, 2000)).toBeCloseTo(1);
  });

  it('the least to move is what must come up, and what goes down for it', () => {
    const sizeBytes = 1000;
    expect(leastGradedBytes(hottest, { sizeBytes, capacityBytes: 1000, roomBytes: 300 })).toBe(300);
    expect(leastGradedBytes(hottest, { sizeBytes, capacityBytes: 800, roomBytes: 100 })).toBe(300 + 200);
    expect(leastGradedBytes(hottest, { sizeBytes, capacityBytes: 200, roomBytes: 0 })).toBe(200 + 200);
    expect(leastGradedBytes(hottest, { sizeBytes, capacityBytes: 200, roomBytes: -50 })).toBe(200 + 200);
    expect(leastGradedBytes(hottest, { sizeBytes, capacityBytes: 0, roomBytes: 0 })).toBe(0);
  });

  it('becomes a command line', () => {
    const memory = [
      { mib: 560, node: 0 },
      { mib: 840, node: 1 },
    ];
    expect(gradedCommand({ name: 'a b', memory, blockKib: 4, seed: 3 })).toBe(
      "/usr/local/bin/graded --name 'a b' --place 560@0 --place 840@1 --block 4 --seed 3",
    );
  });

  it('reports in JSON lines; what is hottest only when it was ranked', () => {
    const common =
      '"time":1.5,"elapsed":1,"pid":7,"name":"g","size":100,"shares":{"0":0.25,"1":0.75},"bytes":{"1":100}';
    const report = parseGradedReport(`{"event":"report",${common},"accessesPerSecond":50000,"countedToTenth":0.7}`);
    expect(report).toMatchObject({ event: 'report', sizeBytes: 100, accessesPerSecond: 50_000 });
    expect(report?.shares.get(0)).toBe(0.25);
    expect(report?.hottest).toBeUndefined();
    const ready = parseGradedReport(`{"event":"redraw",${common},"hottest":{"shares":[0,1],"bytes":{"1":[0,100]}}}`);
    expect(ready?.hottest).toEqual({ shares: [0, 1], bytes: new Map([[1, [0, 100]]]) });
    expect(parseGradedReport('{"event":"swap"}')).toBeUndefined();
  });
});

describe('workload', () => {
  it('becomes a command line', () => {
    const options = { name: 'a b', hot: [{ mib: 200, node: 1 }], cold: [{ mib: 400, node: 0 }], rate: 'full' } as const;
    expect(workloadCommand(options)).toBe("/usr/local/bin/workload --hot 200@1 --cold 400@0 --name 'a b' --rate full");
  });

  it('reports in JSON lines; other lines are no reports', () => {
    const report = parseReport(
      '{"event":"report","time":1.5,"elapsed":1,"pid":7,"name":"w","hotSize":100,"coldSize":0,"hotBytes":{"0":25,"1":75},"coldBytes":{},"passes":3,"passesPerSecond":2}',
    );
    expect(report).toMatchObject({ event: 'report', pid: 7, passes: 3 });
    expect(report === undefined ? 0 : hotShare(report, [0])).toBe(0.25);
    expect(parseReport('not json')).toBeUndefined();
    expect(parseReport('{"event":"other"}')).toBeUndefined();
  });
});
