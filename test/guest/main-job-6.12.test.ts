import { mainJob } from './main-job.ts';

mainJob('6.12');
