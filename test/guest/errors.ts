/** What went wrong, for callers that act on it; the message says how to get out of it. */
export type GuestErrorCode =
  | 'HOST_UNSUPPORTED'
  | 'HOST_PACKAGES_MISSING'
  | 'QEMU_TOO_OLD'
  | 'MIRROR_MISSING'
  | 'KERNEL_UNKNOWN'
  | 'IMAGE_BUILD_FAILED'
  | 'EMULATOR_CRASHED'
  | 'BOOT_FAILED'
  | 'BOOT_TIMEOUT'
  | 'CONNECTION_LOST'
  | 'COMMAND_FAILED'
  | 'COMMAND_TIMEOUT'
  | 'COPY_FAILED'
  | 'FORWARD_FAILED'
  | 'CXL_FAILED'
  | 'PROGRAM_BUILD_FAILED'
  | 'WORKLOAD_FAILED';

/** An error of the guest harness. */
export class GuestError extends Error {
  override readonly name = 'GuestError';
  readonly code: GuestErrorCode;

  constructor(code: GuestErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

/** The text of anything that was thrown. */
export function messageOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}
