/** Why the kernel refused a whole process, for an errno name of a call of move_pages(2), in an operator's words. */
export function processFailureReason(errno: string, to: number): string {
  switch (errno) {
    case 'EACCES':
      return `the cpuset of the process forbids node ${to}`;
    case 'EPERM':
      return 'not permitted to move memory of the process';
    default:
      return 'the process could not be read or moved';
  }
}

/** Why the kernel left a page where it was, for an errno name of a status of move_pages(2), in an operator's words. */
export function failureReason(errno: string, to: number): string {
  switch (errno) {
    case 'EAGAIN':
    case 'EBUSY':
      return 'busy';
    case 'EACCES':
      return 'shared with other processes';
    case 'EPERM':
      return 'not permitted';
    case 'ENOMEM':
      return `no room on node ${to}`;
    case 'ENOENT':
    case 'EFAULT':
      return 'gone';
    case 'ESRCH':
      return 'process exited';
    default:
      return 'refused by the kernel';
  }
}
