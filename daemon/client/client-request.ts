/** One request of the command line to the running daemon. */
export interface ClientRequest {
  readonly method: 'GET' | 'POST' | 'PATCH' | 'DELETE';
  /** With its query. */
  readonly path: string;
  readonly body?: unknown;
  /** The answer as text to read, where the resource has one, or as JSON. */
  readonly as: 'text' | 'json';
  /** Again and again, until interrupted. */
  readonly watch?: boolean;
  /** The answer has no end: what comes is printed as it comes. */
  readonly follow?: boolean;
  /** Undefined: that of the configuration file, or the default. */
  readonly socket?: string;
  /** Of the status: fail unless the daemon is at work. */
  readonly check?: boolean;
  /** What to print of the answer to a change, rather than all of it. */
  readonly show?: 'policy-change' | 'preview';
}
