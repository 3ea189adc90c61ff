import { readFile, stat } from 'node:fs/promises';
import { ConfigError } from './errors.ts';

const MIN_CHARACTERS = 32;
const HOW_TO_MAKE = (path: string) =>
  `make one with: (umask 077; head -c 32 /dev/urandom | base64 | tr -d '=+/' >${path})`;

/** The token that the TCP port asks for. Throws ConfigError when the file is missing, short, or readable by others. */
export async function readToken(path: string): Promise<string> {
  let text: string;
  let mode: number;
  try {
    text = (await readFile(path, 'utf8')).trim();
    ({ mode } = await stat(path));
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new ConfigError([`api.tokenFile: ${reason}; ${HOW_TO_MAKE(path)}`], { cause: error });
  }
  if ((mode & 0o077) !== 0) {
    throw new ConfigError([
      `api.tokenFile: ${path} is readable by others (mode ${(mode & 0o777).toString(8)}): chmod 600 ${path}`,
    ]);
  }
  if (text.length < MIN_CHARACTERS || /\s/.test(text)) {
    throw new ConfigError([
      `api.tokenFile: ${path} has to have one word of at least ${MIN_CHARACTERS} characters; ${HOW_TO_MAKE(path)}`,
    ]);
  }
  return text;
}
