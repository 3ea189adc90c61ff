import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { programOf } from '../../../daemon/command-line.ts';
import { commandsBelow, usageOf } from '../../../scripts/commands.ts';

const root = fileURLToPath(new URL('../../../', import.meta.url));
const read = (path: string): string => readFileSync(join(root, path), 'utf8');
const documents = [...documentsIn('')].sort();

/** Paths of the documents in a folder and below. */
function documentsIn(folder: string): readonly string[] {
  return readdirSync(join(root, folder), { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) return /^(node_modules|dist|dist-deb|\..*)$/.test(entry.name) ? [] : documentsIn(path);
    return entry.name.endsWith('.md') ? [path] : [];
  });
}

/** A document without its blocks of code, in which brackets and # mean something else. */
function prose(path: string): string {
  return read(path).replace(/^```.*?^```$/gms, '');
}

/** Targets of links: [text](target). */
function linksOf(path: string): readonly string[] {
  return [...prose(path).matchAll(/\]\(([^)\s]+)\)/g)].map(([, target = '']) => target);
}

/** The anchors that GitHub gives the headings of a document. */
function anchorsOf(path: string): ReadonlySet<string> {
  const headings = [...prose(path).matchAll(/^#+ (.+)$/gm)].map(([, heading = '']) => heading);
  return new Set(
    headings.map((heading) =>
      heading
        .toLowerCase()
        .replace(/[^\w\- ]/g, '')
        .replaceAll(' ', '-'),
    ),
  );
}

function isThere(from: string, link: string): boolean {
  const [path = '', anchor] = link.split('#');
  const target = path === '' ? from : join(dirname(from), path);
  if (!existsSync(join(root, target))) return false;
  return anchor === undefined || anchorsOf(target).has(anchor);
}

test('every relative link leads to a file, and to a heading of it', () => {
  const links = documents.flatMap((path) =>
    linksOf(path)
      .filter((link) => !/^[a-z]+:/.test(link))
      .map((link) => ({ path, link })),
  );
  expect(links.length).toBeGreaterThan(30);
  expect(links.filter(({ path, link }) => !isThere(path, link))).toEqual([]);
});

test('every page of docs/ can be reached from the README', () => {
  const reached = new Set(['README.md']);
  for (const path of reached) {
    for (const link of linksOf(path)) {
      const [target = ''] = link.split('#');
      if (target.endsWith('.md') && !/^[a-z]+:/.test(target)) reached.add(join(dirname(path), target));
    }
  }
  expect(documents.filter((path) => path.startsWith('docs/') && !reached.has(path))).toEqual([]);
});

test('the README takes no more than 8 KB', () => {
  expect(Buffer.byteLength(read('README.md'))).toBeLessThanOrEqual(8192);
});

test('what the package ships of docs/ links to nothing that it leaves out', () => {
  const shipped = documents.filter((path) => /^docs\/(operating|reference)\//.test(path));
  expect(shipped.length).toBeGreaterThan(10);
  for (const path of shipped) {
    for (const link of linksOf(path).filter((target) => !/^([a-z]+:|#)/.test(target))) {
      expect(join(dirname(path), link), path).toMatch(/^docs\/(operating|reference)\//);
    }
  }
});

test('paths of sources that the documents name are there', () => {
  const named = documents.flatMap((path) =>
    [...prose(path).matchAll(/`((?:numa|tiering|api|daemon|scripts|test|examples|packaging|systemd)\/[\w./-]+)`/g)].map(
      ([, file = '']) => ({ path, file }),
    ),
  );
  expect(named.length).toBeGreaterThan(20);
  expect(named.filter(({ file }) => !existsSync(join(root, file)))).toEqual([]);
});

test('the scripts that the documents name are there', () => {
  const { scripts } = JSON.parse(read('package.json'));
  for (const path of documents) {
    const named = [...read(path).matchAll(/\bnpm (?:run )?([a-z][a-z:]+)\b/g)].map(([, name]) => name);
    for (const name of new Set(named)) {
      if (name !== 'ci') expect(Object.keys(scripts), `${path}: npm run ${name}`).toContain(name);
    }
  }
});

test('continuous integration runs the test command of the README', () => {
  expect(read('README.md')).toContain('npm ci && npm test');
  expect(read('.ci/run')).toMatch(/^npm ci\nnpm test$/m);
});

test('the commands of tierd that documents and remedies name are there', () => {
  const commands = new Set(
    commandsBelow(programOf()).map((command) => /^tierd ([a-z -]*[a-z])/.exec(usageOf(command))?.[1] ?? ''),
  );
  // In sources a remedy begins with its command.
  const remedies = ['tiering/doctor/diagnose.ts', 'tiering/doctor/tier-checks.ts'].map((path) => ({
    path,
    text: [...read(path).matchAll(/(?:remedy:|^)\s+('tierd .*)$/gm)].map(([, remedy]) => remedy).join('\n'),
  }));
  const texts = [...documents.map((path) => ({ path, text: read(path) })), ...remedies];
  const named = texts.flatMap(({ path, text }) =>
    [...text.matchAll(/[`'](?:sudo )?tierd ([a-z][a-z-]*)(?: ([a-z][a-z-]*))?/g)].map(
      ([found, first = '', second = '']) => ({ path, found, first, both: `${first} ${second}` }),
    ),
  );
  expect(named.filter(({ path }) => path.startsWith('tiering/')).length).toBeGreaterThan(2);
  expect(named.length).toBeGreaterThan(50);
  const isThere = ({ first, both }: { readonly first: string; readonly both: string }) =>
    commands.has(first) || commands.has(both);
  expect(named.filter((name) => !isThere(name))).toEqual([]);
});
