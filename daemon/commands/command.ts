import type { MeasureRequest } from '../../numa/probe/measurement.ts';
import type { ClientRequest } from '../client/client-request.ts';
import type { LogLevel } from '../config-schema.ts';
import type { MEASURE_NODE } from '../own-command.ts';

/** What `tierd run` was told; what it was not told comes from the configuration. */
export interface RunOptions {
  readonly config?: string;
  readonly dryRun?: boolean;
  readonly logLevel?: LogLevel;
  readonly socket?: string;
  readonly stateDirectory?: string;
}

/** What `tierd probe` was told. */
export interface ProbeOptions {
  readonly json?: boolean;
}

/** What `tierd doctor` was told. */
export interface DoctorOptions {
  readonly json?: boolean;
  readonly socket?: string;
  readonly stateDirectory?: string;
}

/** What `tierd stand-down` was told. */
export interface StandDownOptions {
  readonly stateDirectory?: string;
}

export const SHELLS = ['bash', 'zsh', 'fish'] as const;
export type Shell = (typeof SHELLS)[number];

/** What the arguments ask for. */
export type Command =
  | { readonly name: 'run'; readonly options: RunOptions }
  | { readonly name: 'probe'; readonly options: ProbeOptions }
  | { readonly name: 'doctor'; readonly options: DoctorOptions }
  | { readonly name: 'stand-down'; readonly options: StandDownOptions }
  /** Asks the running daemon. */
  | { readonly name: 'ask'; readonly request: ClientRequest }
  /** What `probe` and the daemon start to measure one node: in no help text. */
  | { readonly name: typeof MEASURE_NODE; readonly request: MeasureRequest }
  | { readonly name: 'completion'; readonly shell: Shell }
  | { readonly name: 'about' }
  | { readonly name: 'help'; readonly text: string }
  | { readonly name: 'version' };

/** Called by the command that the arguments name. */
export type Choose = (command: Command) => void;
