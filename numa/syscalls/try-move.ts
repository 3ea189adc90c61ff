import { constants } from 'node:os';
import { errnoName } from './errno.ts';
import { SyscallError } from './errors.ts';
import type { MovePages, MovePagesRequest } from './move-pages.ts';

const NO_ROOM = -constants.errno.ENOMEM;

/**
 * move_pages(2) to a node that may be full. Then the call as a whole fails with ENOMEM after it has moved a part: every status is -ENOMEM, and a query
 * tells which pages stayed. Throws SyscallError for all else.
 */
export async function tryMove(movePages: MovePages, request: MovePagesRequest): Promise<Int32Array> {
  try {
    return await movePages(request);
  } catch (error) {
    if (!(error instanceof SyscallError) || error.errno !== 'ENOMEM') throw error;
    return new Int32Array(request.pages.length).fill(NO_ROOM);
  }
}

/** Why a page stayed, as an errno name, by its status of a moving call: one whose status is no error was not reached, or is being used. */
export function stayedErrno(status: number | undefined): string {
  return status !== undefined && status < 0 ? errnoName(-status) : 'EAGAIN';
}
