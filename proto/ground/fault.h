/* Fault points (proto/tables/faults.toml): where a test may make this very process die, stop, or lose its connection, at that very step.
 * Only in builds with -Dfaults=true; elsewhere they are nothing at all.
 *
 * The file that MR_FAULTS_FILE names is shared by all processes and the test: slots of 64 bytes in little-endian words of 8.
 *   slot 0       [0] microseconds by which the wall clock is wrong (signed)
 *                [1] how many sessions a turn of the fanout may tell; 0: as many as there is time for
 *                [2] with how many rows a table of a tick counts as a large one, of which one row is read; 0: by what it costs
 *   slot 1 + n   point n: [0] armed: 0 or an action; who comes by takes it back  [1] how often it was done  [2] how often somebody came by
 *                [3] the process that was stopped last, for the one who is to continue it
 */
#ifndef MR_GROUND_FAULT_H
#define MR_GROUND_FAULT_H

#include "tables.h"

enum mr_fault_action { MR_FAULT_NONE, MR_FAULT_KILL, MR_FAULT_STOP, MR_FAULT_CUT };

#ifdef MR_FAULTS
/* Does what is armed: does not return from a kill, returns from a stop when somebody continues us. MR_FAULT_CUT is the caller's to do. */
enum mr_fault_action mr_fault_at(enum mr_fault point);
int64_t mr_fault_clock_us(void); /* by how much the wall clock is wrong */
size_t mr_fault_turn(void);      /* how many sessions a turn may tell; 0: as many as there is time for */
int64_t mr_fault_large(void);    /* with how many rows a table of a tick counts as a large one; 0: by what it costs */
#define MR_FAULT(point)        ((void)mr_fault_at(MR_F_##point))
#define MR_FAULT_PG(point, pg) (mr_fault_at(MR_F_##point) == MR_FAULT_CUT ? mr_pg_cut(pg) : (void)0)
#else
#define MR_FAULT(point)        ((void)0)
#define MR_FAULT_PG(point, pg) ((void)0)
#define mr_fault_clock_us()    0
#define mr_fault_turn()        ((size_t)0)
#define mr_fault_large()       ((int64_t)0)
#endif

#endif
