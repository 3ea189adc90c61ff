import { isUtf8 } from 'node:buffer';
import { readFile, stat } from 'node:fs/promises';
import { policyRuleViolations } from '../api/policy-rules.ts';
import { compileCheck } from '../api/schema/check.ts';
import { withDefaults } from '../api/schema/defaults.ts';
import type { JsonObject, JsonSchema } from '../api/schema/json-schema.ts';
import { isJsonObject, propertySchema } from '../api/schema/json-schema.ts';
import type { Violation } from '../api/schema/violation.ts';
import { formatViolation } from '../api/schema/violation.ts';
import type { Config } from './config-schema.ts';
import { ConfigSchema } from './config-schema.ts';
import { ConfigError } from './errors.ts';
import { tierRuleViolations } from './tier-rules.ts';
import { parseYaml } from './yaml-document.ts';

export const DEFAULT_CONFIG_FILE = '/etc/tierd/tierd.yaml';

/** Many times the sample with every key and the longest lists that make sense. */
const MAX_BYTES = 256 * 1024;
/** Colons and commas. The time in which YAML finds double keys grows with the square of their number. */
const MAX_MARKS = 3_000;

/** A configuration with what the file says of it. */
export interface ConfigFile {
  readonly path: string;
  /** Complete: keys that the file leaves out have their defaults. */
  readonly config: Config;
  /** Only the keys that the file sets. */
  readonly stated: JsonObject;
}

const checkShape = compileCheck(ConfigSchema);

/**
 * Reads the configuration.
 *
 * @param file the file the operator named, which must exist; without it the default file, which need not
 */
export async function loadConfig(file: string | undefined): Promise<ConfigFile> {
  const path = file ?? DEFAULT_CONFIG_FILE;
  let text: string;
  try {
    text = await readText(path);
  } catch (error) {
    if (error instanceof ConfigError) throw error;
    const missing = error instanceof Error && 'code' in error && error.code === 'ENOENT';
    if (missing && file === undefined) return parseConfigFile('', path);
    const reason = missing ? 'there is no such file' : error instanceof Error ? error.message : String(error);
    throw new ConfigError([`${path}: cannot read the configuration: ${reason}`], { cause: error });
  }
  return parseConfigFile(text, path);
}

/** The text of a configuration file. Throws ConfigError for what is none, before a reader could wait for it or choke on it. */
async function readText(path: string): Promise<string> {
  const { size, isFile } = await kindOf(path);
  if (!isFile) throw new ConfigError([`${path}: this is no regular file: put the configuration into one`]);
  if (size > MAX_BYTES) {
    throw new ConfigError([
      `${path}: ${size} bytes, and a configuration has at most ${MAX_BYTES}: is this the right file?`,
    ]);
  }
  const bytes = await readFile(path);
  const isUtf16 = (bytes[0] === 0xff && bytes[1] === 0xfe) || (bytes[0] === 0xfe && bytes[1] === 0xff);
  if (isUtf16) {
    throw new ConfigError([`${path}: this is UTF-16: save it as UTF-8 (iconv -f UTF-16 -t UTF-8)`]);
  }
  const zero = bytes.indexOf(0);
  if (zero >= 0) {
    throw new ConfigError([`${path}: byte ${zero} is zero, so this is no text: save the configuration as UTF-8 text`]);
  }
  if (!isUtf8(bytes)) throw new ConfigError([`${path}: this is not UTF-8: save it as UTF-8 text`]);
  const text = bytes.toString('utf8');
  const marks = text.match(/[:,]/g)?.length ?? 0;
  if (marks > MAX_MARKS) {
    throw new ConfigError([`${path}: more keys and values than any configuration has: is this the right file?`]);
  }
  return text;
}

async function kindOf(path: string): Promise<{ size: number; isFile: boolean }> {
  const found = await stat(path);
  return { size: found.size, isFile: found.isFile() };
}

/** The configuration that a YAML text gives; every key it leaves out has its default. Throws ConfigError naming all that is wrong. */
export function parseConfig(text: string, fileName: string): Config {
  return parseConfigFile(text, fileName).config;
}

function parseConfigFile(text: string, fileName: string): ConfigFile {
  const document = parseYaml(text, fileName);
  const content = emptyGroupsFilled(ConfigSchema, document.content);
  const checked = checkShape(withDefaults(ConfigSchema, content));
  const violations: readonly Violation[] = checked.ok
    ? [...policyRuleViolations(checked.value), ...tierRuleViolations(checked.value.tiers)]
    : checked.violations;
  if (checked.ok && violations.length === 0) {
    return { path: fileName, config: checked.value, stated: isJsonObject(content) ? content : {} };
  }
  const problems = violations.map((violation) => ({ violation, line: document.lineOf(violation.path) }));
  problems.sort((a, b) => a.line - b.line);
  throw new ConfigError(problems.map(({ violation, line }) => `${fileName}:${line}: ${formatViolation(violation)}`));
}

/** An empty file, or a group whose keys are all commented out, is null in YAML and means "nothing said". */
function emptyGroupsFilled(schema: JsonSchema, content: unknown): unknown {
  if (schema.properties === undefined) return content;
  if (content === null) return {};
  if (!isJsonObject(content)) return content;
  const filled = Object.entries(content).map(([key, value]): [string, unknown] => {
    const inner = propertySchema(schema, key);
    return [key, inner === undefined ? value : emptyGroupsFilled(inner, value)];
  });
  return Object.fromEntries(filled);
}
