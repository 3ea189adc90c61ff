import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { GuestError } from './errors.ts';

/** A package source as apt's configuration on this machine has it. */
export interface AptSource {
  readonly uri: string;
  readonly suites: readonly string[];
  readonly signedBy: string | undefined;
}

const archiveKeyring = '/usr/share/keyrings/debian-archive-keyring.gpg';

/** Sources of a deb822 file (`*.sources`): stanzas of `Field: value`, a value continuing on indented lines. */
export function parseDeb822(text: string): AptSource[] {
  const sources: AptSource[] = [];
  for (const stanza of text.split(/\n[ \t]*\n/)) {
    const fields = new Map<string, string>();
    let last = '';
    for (const line of stanza.split('\n')) {
      if (line.startsWith('#')) continue;
      const match = /^([\w-]+):\s*(.*)$/.exec(line);
      if (match !== null) {
        last = (match[1] ?? '').toLowerCase();
        fields.set(last, match[2] ?? '');
      } else if (/^\s/.test(line) && last !== '') {
        fields.set(last, `${fields.get(last) ?? ''} ${line.trim()}`);
      }
    }
    const words = (field: string): string[] => (fields.get(field) ?? '').split(/\s+/).filter((word) => word !== '');
    if (!words('types').includes('deb') || fields.get('enabled')?.trim() === 'no') continue;
    // A key given in the file itself (several words) cannot be handed on as a path.
    const [signedBy, ...more] = words('signed-by');
    for (const uri of words('uris')) {
      sources.push({ uri, suites: words('suites'), signedBy: more.length === 0 ? signedBy : undefined });
    }
  }
  return sources;
}

/** Sources of a classic `sources.list`: `deb [options] URI suite components`. */
export function parseSourcesList(text: string): AptSource[] {
  const sources: AptSource[] = [];
  for (const line of text.split('\n')) {
    const match = /^deb\s+(?:\[([^\]]*)\]\s+)?(\S+)\s+(\S+)/.exec(line.trim());
    if (match === null) continue;
    const signedBy = /(?:^|\s)signed-by=(\S+)/i.exec(match[1] ?? '')?.[1];
    sources.push({ uri: match[2] ?? '', suites: [match[3] ?? ''], signedBy });
  }
  return sources;
}

/** The Debian archive that this machine installs from, read at run time: no mirror is written down in the project. */
export function debianMirror(aptDirectory = '/etc/apt'): { readonly uri: string; readonly signedBy: string } {
  const sources: AptSource[] = [];
  const list = join(aptDirectory, 'sources.list');
  if (existsSync(list)) sources.push(...parseSourcesList(readFileSync(list, 'utf8')));
  const parts = join(aptDirectory, 'sources.list.d');
  for (const name of existsSync(parts) ? readdirSync(parts).sort() : []) {
    const text = (): string => readFileSync(join(parts, name), 'utf8');
    if (name.endsWith('.sources')) sources.push(...parseDeb822(text()));
    if (name.endsWith('.list')) sources.push(...parseSourcesList(text()));
  }
  // The main archive has plain Debian suites; vendors' archives and debian-security have others.
  const main = sources.find((source) =>
    source.suites.some((suite) => /^(bookworm|trixie|forky|sid|stable|oldstable|testing)$/.test(suite)),
  );
  if (main === undefined) {
    throw new GuestError(
      'MIRROR_MISSING',
      `No Debian archive found in ${aptDirectory}/sources.list and sources.list.d: add a "deb" line of a Debian suite (such as trixie main); guest images are built from its packages.`,
    );
  }
  return { uri: main.uri, signedBy: main.signedBy ?? archiveKeyring };
}
