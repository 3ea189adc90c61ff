/** The configuration file is missing, unreadable or wrong; `problems` has a line for each thing. */
export class ConfigError extends Error {
  readonly code = 'TIERD_CONFIG';
  readonly problems: readonly string[];

  constructor(problems: readonly string[], options?: ErrorOptions) {
    super(problems.join('\n'), options);
    this.name = 'ConfigError';
    this.problems = problems;
  }
}

/** The command line asks for something that does not exist. */
export class UsageError extends Error {
  readonly code = 'TIERD_USAGE';

  constructor(message: string) {
    super(`${message}; tierd --help shows what there is`);
    this.name = 'UsageError';
  }
}

/** Another tierd has the state directory. */
export class StateDirectoryInUseError extends Error {
  readonly code = 'TIERD_ALREADY_RUNNING';

  constructor(directory: string, pid?: number) {
    const who = pid === undefined ? '' : ` (pid ${pid})`;
    super(
      `another tierd${who} keeps its state in ${directory}; stop it, or choose another directory with --state-directory`,
    );
    this.name = 'StateDirectoryInUseError';
  }
}

/** The state directory cannot be used. */
export class StateDirectoryError extends Error {
  readonly code = 'TIERD_STATE_DIRECTORY';

  constructor(directory: string, cause: unknown) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    super(
      `cannot keep state in ${directory}: ${reason}; choose a directory that can be written with --state-directory`,
      {
        cause,
      },
    );
    this.name = 'StateDirectoryError';
  }
}
