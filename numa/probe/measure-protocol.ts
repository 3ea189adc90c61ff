import { formatList, parseList } from '../list-format.ts';
import { parseDecimal } from '../numbers.ts';
import { ProbeError } from './errors.ts';
import type { Measurement, MeasureRequest } from './measurement.ts';

/** The request as arguments of a command: node, bytes, CPUs in list format. */
export function measureArguments({ nodeId, bufferBytes, cpus }: MeasureRequest): readonly string[] {
  return [String(nodeId), String(bufferBytes), formatList(cpus)];
}

/** The request that arguments hold. Throws KernelFormatError. */
export function parseMeasureArguments([nodeId = '', bufferBytes = '', cpus = '']: readonly string[]): MeasureRequest {
  return {
    nodeId: parseDecimal(nodeId, 'node'),
    bufferBytes: parseDecimal(bufferBytes, 'buffer bytes'),
    cpus: parseList(cpus, 'CPUs'),
  };
}

/** The answer of a measurement that ended well or badly, as a line of JSON. */
export async function measureAnswer(measuring: Promise<Measurement>): Promise<string> {
  try {
    return `${JSON.stringify(await measuring)}\n`;
  } catch (error) {
    const reason = error instanceof ProbeError ? error.reason : error instanceof Error ? error.message : String(error);
    return `${JSON.stringify({ failure: reason })}\n`;
  }
}

/** What an answer says. Throws ProbeError: with the failure it tells of, or because it is no answer. */
export function parseMeasureAnswer(text: string, nodeId: number): Measurement {
  const answer = parseObject(text);
  const { failure, readLatencyNs, readBandwidthMiBps, writeBandwidthMiBps } = answer;
  if (typeof failure === 'string') throw new ProbeError(nodeId, failure);
  if (!isFigure(readLatencyNs) || !isFigure(readBandwidthMiBps) || !isFigure(writeBandwidthMiBps)) {
    throw new ProbeError(nodeId, `the process that measured answered ${JSON.stringify(text.slice(0, 200))}`);
  }
  return { readLatencyNs, readBandwidthMiBps, writeBandwidthMiBps };
}

function parseObject(text: string): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? { ...value } : {};
  } catch {
    return {};
  }
}

function isFigure(value: unknown): value is number {
  return typeof value === 'number' && value > 0;
}
