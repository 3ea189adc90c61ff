import { fstatSync } from 'node:fs';
import { isatty } from 'node:tty';

/** Colours and clock for a terminal, priority and text for the journal, JSON for everything else. */
export type LogFormat = 'pretty' | 'journal' | 'json';

/** What reads a standard stream: systemd tells a service's journal socket by device and inode, which children inherit wrongly. */
export function detectLogFormat(journalStream: string | undefined, fd: number): LogFormat {
  if (isatty(fd)) return 'pretty';
  if (journalStream === undefined) return 'json';
  const { dev, ino } = fstatSync(fd);
  return journalStream === `${dev}:${ino}` ? 'journal' : 'json';
}
