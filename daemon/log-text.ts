/** A pino entry as it comes out of its JSON. */
export type LogEntry = Readonly<Record<string, unknown>>;

/** Keys that every entry has: said by the journal itself, or in the priority prefix. */
const FRAME_KEYS = new Set(['level', 'time', 'pid', 'hostname', 'msg']);

/** `message key=value key="two words"`: one line for one entry, whatever is in it. */
export function formatEntry(entry: LogEntry): string {
  const fields = Object.entries(entry)
    .filter(([key, value]) => !FRAME_KEYS.has(key) && value !== undefined)
    .flatMap(([key, value]) => formatField(key, value));
  return [oneLine(String(entry.msg ?? '')), ...fields].join(' ');
}

/**
 * Syslog priority (0 emergency to 7 debug) of a pino level; as `<N>` before a line it is what sd-daemon(3) wants, so that
 * `journalctl -p warning` works.
 */
export function syslogPriority(level: unknown): number {
  if (typeof level !== 'number') return 6;
  if (level >= 60) return 2;
  if (level >= 50) return 3;
  if (level >= 40) return 4;
  return level >= 30 ? 6 : 7;
}

function formatField(key: string, value: unknown): string[] {
  if (key !== 'err' || typeof value !== 'object' || value === null) return [`${key}=${formatValue(value)}`];
  // Of an error the message and the code; what else there is would not be read in one line.
  const message = 'message' in value ? value.message : value;
  const code = 'code' in value ? [`code=${formatValue(value.code)}`] : [];
  const stack = 'stack' in value ? [`stack=${formatValue(value.stack)}`] : [];
  return [`err=${formatValue(message)}`, ...code, ...stack];
}

function formatValue(value: unknown): string {
  if (typeof value !== 'string') return JSON.stringify(value) ?? 'undefined';
  return /^[^\s"=]+$/.test(value) ? value : JSON.stringify(value);
}

function oneLine(text: string): string {
  return text.replaceAll(/\s*[\r\n]+\s*/g, ' ');
}
