import { mainJob } from './main-job.ts';

mainJob('7.3');
