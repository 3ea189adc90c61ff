import { constants } from 'node:os';
import { ADDRESS_UNIT_BYTES } from '../page-size.ts';
import { loadSyscalls } from './library.ts';

/** Page numbers, as they fit a double where byte addresses may not. */
export interface MovePagesRequest {
  readonly pid: number;
  /** Where pages begin, in ADDRESS_UNIT_BYTES. */
  readonly pages: Float64Array;
  /** Node to move them to; undefined: only tell where they are. */
  readonly targetNodeId?: number | undefined;
  /** MPOL_MF_MOVE_ALL: also pages that other processes share; needs CAP_SYS_NICE. */
  readonly moveAll?: boolean | undefined;
}

/**
 * The status of each page: the node it is on, or a negative errno (-ENOENT: no page there, -EBUSY: pinned or under I/O,
 * -EACCES: shared, -ENOMEM: no room on the target, -EAGAIN: not reached, or not told, because another page did not move; a
 * query says whether it did). Never on the event loop's thread. Throws SyscallError: ESRCH when the
 * process is gone, EPERM without CAP_SYS_NICE or CAP_SYS_PTRACE, ENODEV for a node that is not online.
 */
export type MovePages = (request: MovePagesRequest) => Promise<Int32Array>;

const MPOL_MF_MOVE = 2;
const MPOL_MF_MOVE_ALL = 4;
/** 16 MiB of the smallest pages: tens of milliseconds. Larger calls gain nothing, and hold up what waits. */
const MAX_PAGES = 4096;
const NOT_REACHED = -constants.errno.EAGAIN;
const PAGES_PER_4_GIB = 2 ** 32 / ADDRESS_UNIT_BYTES;
const PAGE_SHIFT = Math.log2(ADDRESS_UNIT_BYTES);

let loading: Promise<MovePages> | undefined;

/**
 * move_pages(2) of the running kernel, the same for all who ask: one call of this process is under way at a time, as several
 * would only contend for the same locks and for the event loop. Throws SyscallsUnavailableError.
 *
 *     long move_pages(int pid, unsigned long count, void *pages[count], const int nodes[count], int status[count], int flags);
 */
export function hostMovePages(): Promise<MovePages> {
  loading ??= load();
  return loading;
}

async function load(): Promise<MovePages> {
  const library = await loadSyscalls();
  const movePages = library.declare('move_pages', ['int', 'ulong', 'void *', 'void *', 'void *', 'int']);
  // Little endian, as both architectures are: the lower half of an address comes first.
  const addresses = new Uint32Array(MAX_PAGES * 2);
  const targets = new Int32Array(MAX_PAGES);
  let underWay: Promise<unknown> = Promise.resolve();

  const callOnce = async (request: MovePagesRequest, pages: Float64Array, statuses: Int32Array): Promise<void> => {
    const { pid, targetNodeId, moveAll = false } = request;
    // Shifting and storing both take numbers modulo 2^32.
    for (let i = 0; i < pages.length; i++) {
      const page = pages[i] ?? 0;
      addresses[2 * i] = page << PAGE_SHIFT;
      addresses[2 * i + 1] = page / PAGES_PER_4_GIB;
    }
    if (targetNodeId !== undefined) targets.fill(targetNodeId, 0, pages.length);
    const nodes = targetNodeId === undefined ? null : targets;
    const flags = moveAll ? MPOL_MF_MOVE_ALL : MPOL_MF_MOVE;
    const described = `pid ${pid}, ${pages.length} pages from ${(pages[0] ?? 0).toString(16)}000, ${
      targetNodeId === undefined ? 'query' : `to node ${targetNodeId}`
    }`;
    await movePages.callAsync([pid, pages.length, addresses, nodes, statuses, flags], described);
  };

  const callAll = async (request: MovePagesRequest): Promise<Int32Array> => {
    // A page that does not move ends the call early: what it did not reach, or not report, stays so.
    const statuses = new Int32Array(request.pages.length).fill(NOT_REACHED);
    for (let start = 0; start < request.pages.length; start += MAX_PAGES) {
      const end = Math.min(start + MAX_PAGES, request.pages.length);
      await callOnce(request, request.pages.subarray(start, end), statuses.subarray(start, end));
    }
    return statuses;
  };

  return (request) => {
    const result = underWay.then(() => callAll(request));
    underWay = result.catch(() => undefined);
    return result;
  };
}
