/** Everything the DAMON driver refuses or fails with. `code` is stable; messages say what to do. */

/** The kernel has no DAMON sysfs at all. */
export class DamonUnavailableError extends Error {
  readonly code = 'TIERD_DAMON_UNAVAILABLE';

  constructor() {
    super(
      'kernel has no DAMON sysfs (/sys/kernel/mm/damon/admin): needs CONFIG_DAMON_SYSFS and CONFIG_DAMON_PADDR, Linux 5.18 or newer',
    );
    this.name = 'DamonUnavailableError';
  }
}

/** The kernel's DAMON cannot do what was asked for. */
export class DamonUnsupportedError extends Error {
  readonly code = 'TIERD_DAMON_UNSUPPORTED';

  constructor(message: string) {
    super(message);
    this.name = 'DamonUnsupportedError';
  }
}

/** DAMON's sysfs stayed busy (EBUSY) longer than we wait: another tool reads or commands DAMON all the time, or a kdamond hangs. */
export class DamonBusyError extends Error {
  readonly code = 'TIERD_DAMON_BUSY';
  readonly what: string;
  readonly waitedMs: number;

  constructor(what: string, waitedMs: number, cause: unknown) {
    super(`DAMON's sysfs stayed busy for ${Math.round(waitedMs)} ms: ${what}`, { cause });
    this.name = 'DamonBusyError';
    this.what = what;
    this.waitedMs = waitedMs;
  }
}

/** A kdamond has not answered in time. What was asked of it may still happen. */
export class KdamondSilentError extends Error {
  readonly code = 'TIERD_KDAMOND_SILENT';
  readonly index: number;
  readonly nodeId: number;
  readonly waitedMs: number;

  constructor(index: number, nodeId: number, waitedMs: number) {
    super(`kdamond ${index} (node ${nodeId}) does not answer`);
    this.name = 'KdamondSilentError';
    this.index = index;
    this.nodeId = nodeId;
    this.waitedMs = waitedMs;
  }
}

/** DAMON is being given back: nothing else is done with it any more. */
export class DamonReleasedError extends Error {
  readonly code = 'TIERD_DAMON_RELEASED';

  constructor() {
    super('DAMON is being switched off');
    this.name = 'DamonReleasedError';
  }
}

/** A kdamond of ours is off although we did not stop it. */
export class KdamondDiedError extends Error {
  readonly code = 'TIERD_KDAMOND_DIED';
  readonly index: number;
  readonly nodeId: number;

  constructor(index: number, nodeId: number, during: string, cause?: unknown) {
    super(`kdamond ${index} (node ${nodeId}) went off during ${during}`, { cause });
    this.name = 'KdamondDiedError';
    this.index = index;
    this.nodeId = nodeId;
  }
}

/** The kernel refused a command for a kdamond that goes on as it was. */
export class DamonRejectedError extends Error {
  readonly code = 'TIERD_DAMON_REJECTED';
  readonly index: number;
  readonly command: string;
  readonly errno: string;

  constructor(index: number, command: string, errno: string, cause: unknown) {
    super(`kernel refused "${command}" for kdamond ${index}: ${errno}`, { cause });
    this.name = 'DamonRejectedError';
    this.index = index;
    this.command = command;
    this.errno = errno;
  }
}

/** What is known of a kdamond that somebody else runs. */
export interface ForeignKdamond {
  readonly index: number;
  readonly pid: number;
  readonly operations: string;
  readonly actions: readonly string[];
  readonly samplingIntervalUs?: number;
  readonly aggregationIntervalUs?: number;
}

/** Somebody else's kdamonds run. They are left alone. */
export class ForeignKdamondError extends Error {
  readonly code = 'TIERD_DAMON_FOREIGN';
  readonly kdamonds: readonly ForeignKdamond[];
  /** Who has DAMON, short enough for a status line. */
  readonly holder: string;

  constructor(kdamonds: readonly ForeignKdamond[]) {
    const commands = kdamonds.map(({ index }) => `echo off > /sys/kernel/mm/damon/admin/kdamonds/${index}/state`);
    super(
      `DAMON is in use by something else: ${kdamonds.map(describeForeign).join('; ')}. ` +
        `Stop the tool that runs it (for example \`damo stop\`), or free it by hand (${commands.join('; ')}), ` +
        'or set `waitForDamon: true` to wait until it is free',
    );
    this.name = 'ForeignKdamondError';
    this.kdamonds = kdamonds;
    const [first, ...others] = kdamonds;
    const more = others.length === 0 ? '' : ` and ${others.length} more`;
    this.holder = first === undefined ? 'unknown kdamonds' : `${nameForeign(first)}${more}`;
  }
}

function nameForeign({ index, pid, operations, actions }: ForeignKdamond): string {
  const kinds = [...new Set(actions)];
  const schemes = kinds.length === 0 ? 'no schemes' : `schemes ${kinds.join(', ')}`;
  return `kdamond ${index} (pid ${pid}, ${operations}, ${schemes})`;
}

function describeForeign(kdamond: ForeignKdamond): string {
  const intervals =
    kdamond.samplingIntervalUs === undefined || kdamond.aggregationIntervalUs === undefined
      ? ''
      : `, sampling ${kdamond.samplingIntervalUs} us, aggregation ${kdamond.aggregationIntervalUs} us`;
  const actions = kdamond.actions.length === 0 ? 'no schemes' : `schemes ${kdamond.actions.join(', ')}`;
  return `kdamond ${kdamond.index} (pid ${kdamond.pid}, ${kdamond.operations}, ${actions}${intervals})`;
}

/** A kernel module runs DAMON exclusively. */
export class ExclusiveModuleError extends Error {
  readonly code = 'TIERD_DAMON_EXCLUSIVE';
  /** Parameter files that are on. */
  readonly parameters: readonly string[];
  /** Who has DAMON, short enough for a status line. */
  readonly holder: string;

  constructor(parameters: readonly string[], hint: string) {
    super(`a kernel module holds DAMON exclusively: ${parameters.map((path) => `${path} is Y`).join(', ')}. ${hint}`);
    this.name = 'ExclusiveModuleError';
    this.parameters = parameters;
    const modules = parameters.map((path) => path.replace(/^\/sys\/module\/(\w+)\/.*$/, '$1'));
    this.holder = `kernel module ${modules.join(', ')}`;
  }
}

/** No kdamond directory is left and none can be made while kdamonds run. */
export class NoSpareKdamondError extends Error {
  readonly code = 'TIERD_DAMON_NO_SPARE';

  constructor(slots: number) {
    super(
      `all ${slots} kdamond directories are in use, and nr_kdamonds cannot be raised while a kdamond runs: "systemctl restart tierd" makes more`,
    );
    this.name = 'NoSpareKdamondError';
  }
}

/** A receipt is not one that this version wrote. */
export class ReceiptError extends Error {
  readonly code = 'TIERD_DAMON_RECEIPT';

  constructor(message: string) {
    super(`DAMON receipt: ${message}`);
    this.name = 'ReceiptError';
  }
}

/** The receipt could not be saved in time. */
export class SaveTimeoutError extends Error {
  readonly code = 'TIERD_STATE_DIRECTORY';

  constructor() {
    super('the state directory does not answer');
    this.name = 'SaveTimeoutError';
  }
}

/** The access trace cannot be read. */
export class TraceUnavailableError extends Error {
  readonly code = 'TIERD_TRACE_UNAVAILABLE';

  constructor(message: string, cause?: unknown) {
    super(message, { cause });
    this.name = 'TraceUnavailableError';
  }
}
