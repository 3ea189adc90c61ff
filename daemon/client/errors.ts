/** The daemon does not answer on its socket. */
export class DaemonUnreachableError extends Error {
  readonly code = 'TIERD_DAEMON_UNREACHABLE';

  constructor(socket: string, reason: string, options?: ErrorOptions) {
    super(`cannot reach tierd on ${socket}: ${reason}`, options);
    this.name = 'DaemonUnreachableError';
  }
}

/** The socket belongs to others. */
export class DaemonForbiddenError extends Error {
  readonly code = 'TIERD_DAEMON_FORBIDDEN';

  constructor(socket: string, options?: ErrorOptions) {
    super(
      `${socket} is for root and the group tierd: use sudo, or join with "sudo usermod -aG tierd $USER" (tierd-read: to read only) and log in again`,
      options,
    );
    this.name = 'DaemonForbiddenError';
  }
}

/** The daemon answers, and is not at work. */
export class NotAtWorkError extends Error {
  readonly code = 'TIERD_NOT_AT_WORK';

  constructor(state: string, problem: string | undefined) {
    super(`tierd is not at work: ${state}${problem === undefined ? '' : `, ${problem}`}`);
    this.name = 'NotAtWorkError';
  }
}

/** The daemon answers with a problem. */
export class RequestRefusedError extends Error {
  readonly code = 'TIERD_REQUEST_REFUSED';
  readonly status: number;

  constructor(status: number, detail: string) {
    super(detail);
    this.name = 'RequestRefusedError';
    this.status = status;
  }
}
