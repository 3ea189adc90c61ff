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
