/* onErrorDeployment: after a failure, an earlier deployment that succeeded is deployed again. */
#ifndef PORTOLAN_DEPLOYMENTS_RERUN_H
#define PORTOLAN_DEPLOYMENTS_RERUN_H

struct run;

/* Of a run that has just failed. A failure of this is logged: there is nobody left to tell. */
void rerun_on_error(struct run *r);

#endif
