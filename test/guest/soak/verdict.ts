const MIB = 1024 * 1024;
const SECONDS_AN_HOUR = 3_600;
/** A leak of less is not told from what allocators and histories do. */
const MOST_MIB_AN_HOUR = 20;
const MOST_FDS_AN_HOUR = 6;
/** Standard errors by which a slope must be above the limit: a short run is noise mostly. */
const SURE = 2;
/** A slope needs more points than the two it goes through. */
const LEAST_SAMPLES = 6;

export interface SoakSample {
  readonly seconds: number;
  /** Resident memory of the daemon's own, without files that it maps: those come and go with the page cache. */
  readonly ownBytes: number;
  readonly openFds: number;
}

/** A straight line through points in time, by least squares. */
interface Slope {
  readonly perHour: number;
  /** Of the slope. */
  readonly standardError: number;
  /** Where the line ends. */
  readonly last: number;
}

/** Whether memory and descriptors stay flat: the slopes of the last two thirds of the time, as the first third warms up. Pure. */
export function judge(samples: readonly SoakSample[]): { readonly isFlat: boolean; readonly text: string } {
  const warm = samples.slice(Math.floor(samples.length / 3));
  if (warm.length < LEAST_SAMPLES)
    return {
      isFlat: false,
      text: `too short to tell anything: ${LEAST_SAMPLES} samples are needed after the first third`,
    };
  const memory = slopeOf(warm.map(({ seconds, ownBytes }) => ({ seconds, value: ownBytes / MIB })));
  const fds = slopeOf(warm.map(({ seconds, openFds }) => ({ seconds, value: openFds })));
  const isFlat = !surelyExceeds(memory, MOST_MIB_AN_HOUR) && !surelyExceeds(fds, MOST_FDS_AN_HOUR);
  const own = `own resident memory ${memory.last.toFixed(1)} MiB, ${inWords(memory)} MiB an hour`;
  return {
    isFlat,
    text: `${isFlat ? 'flat' : 'GROWING'}: ${own}; descriptors ${fds.last.toFixed(0)}, ${inWords(fds)} an hour`,
  };
}

function surelyExceeds({ perHour, standardError }: Slope, limit: number): boolean {
  return perHour - SURE * standardError > limit;
}

/** Of points at different times. */
function slopeOf(points: readonly { readonly seconds: number; readonly value: number }[]): Slope {
  const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
  const hours = points.map(({ seconds }) => seconds / SECONDS_AN_HOUR);
  const [meanHour, meanValue] = [mean(hours), mean(points.map(({ value }) => value))];
  const spread = hours.reduce((sum, hour) => sum + (hour - meanHour) ** 2, 0);
  const perHour =
    points.reduce((sum, { value }, index) => sum + ((hours[index] ?? 0) - meanHour) * (value - meanValue), 0) / spread;
  const at = (hour: number) => meanValue + perHour * (hour - meanHour);
  const residual = points.reduce((sum, { value }, index) => sum + (value - at(hours[index] ?? 0)) ** 2, 0);
  return {
    perHour,
    standardError: Math.sqrt(residual / (points.length - 2) / spread),
    last: at(hours.at(-1) ?? 0),
  };
}

function inWords({ perHour, standardError }: Slope): string {
  return `${perHour < 0 ? '' : '+'}${perHour.toFixed(1)} ± ${(SURE * standardError).toFixed(1)}`;
}
