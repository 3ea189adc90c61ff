/** From "no access seen" to "accessed nearly always". */
const SHADES = ['·', '░', '▒', '▓', '█'];

/** A region is never smaller than a page. */
const SMALLEST_BYTES = 4096;

/** One glyph for an access rate from 0 to 1: the denser, the hotter. */
export function shadeOf(rate: number): string {
  const busiest = SHADES.length - 1;
  return SHADES[Math.min(busiest, Math.ceil(rate * busiest))] ?? ' ';
}

/**
 * A bar whose shade is the access rate and whose length is the size, on a logarithmic scale from a page (1 glyph) to
 * `largestBytes` (`maxLength` glyphs): sizes of regions differ a millionfold.
 */
export function shadeBar(rate: number, sizeBytes: number, largestBytes: number, maxLength: number): string {
  const span = Math.log2(Math.max(largestBytes, 2 * SMALLEST_BYTES) / SMALLEST_BYTES);
  const part = Math.log2(Math.max(sizeBytes, SMALLEST_BYTES) / SMALLEST_BYTES) / span;
  return shadeOf(rate).repeat(Math.min(maxLength, 1 + Math.round(part * (maxLength - 1))));
}
