/** The two representations of a resource: JSON for programs, text for a terminal. */
export type Representation = 'json' | 'text';

/** What `?format=` or else the Accept header asks for; JSON unless text is clearly preferred. */
export function chooseRepresentation(format: Representation | undefined, accept: string | undefined): Representation {
  if (format !== undefined) return format;
  const ranges = parseAccept(accept ?? '*/*');
  return quality(ranges, 'text/plain') > quality(ranges, 'application/json') ? 'text' : 'json';
}

interface MediaRange {
  readonly type: string;
  readonly quality: number;
}

function parseAccept(accept: string): MediaRange[] {
  return accept.split(',').map((part) => {
    const [type = '', ...parameters] = part.split(';').map((text) => text.trim().toLowerCase());
    const weight = parameters.find((parameter) => parameter.startsWith('q='));
    const parsed = weight === undefined ? 1 : Number(weight.slice(2));
    return { type, quality: Number.isNaN(parsed) ? 0 : parsed };
  });
}

/** The quality of the most specific range that a type falls in (RFC 9110, 12.5.1). */
function quality(ranges: readonly MediaRange[], type: string): number {
  const wildcard = `${type.slice(0, type.indexOf('/'))}/*`;
  for (const wanted of [type, wildcard, '*/*']) {
    const range = ranges.find((candidate) => candidate.type === wanted);
    if (range !== undefined) return range.quality;
  }
  return 0;
}
