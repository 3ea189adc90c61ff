const FIELD = 'data: ';

/** The JSON in server-sent events, a line each: for programs that read lines. */
export class EventData {
  #rest = '';

  /** Of the next piece of the stream, which may end anywhere. */
  lines(piece: string): string {
    const lines = `${this.#rest}${piece}`.split('\n');
    this.#rest = lines.pop() ?? '';
    return lines
      .filter((line) => line.startsWith(FIELD))
      .map((line) => `${line.slice(FIELD.length)}\n`)
      .join('');
  }
}
