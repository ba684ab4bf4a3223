/* queue_id.h: names of messages in the queue.
 *
 * Short form: 5 upper-case hex digits of microseconds, 7 of seconds (modulo 2^28), 2 of the slot.  Long form:
 * seconds and microseconds in base 52 (digits and letters without vowels), "z", the slot in base 51; sorts by time.
 * The slot (0..255) is unique among the processes that live at the same time. */
#ifndef PH_BASE_QUEUE_ID_H
#define PH_BASE_QUEUE_ID_H

#include <stdbool.h>

#define PH_QUEUE_ID_MAX 32      /* bytes, with the NUL */

void ph_queue_id_init(unsigned slot);
/* A new one: within a process strictly increasing in time, even when the clock stands still or goes back. */
void ph_queue_id_new(char buf[PH_QUEUE_ID_MAX], bool long_form);
/* Could this be a queue id (of either form, ours or Postfix's)?  True means: safe as a file name. */
bool ph_queue_id_valid(const char *id);
/* Could it be a queue id at all (letters, digits, "_")?  What commands ask of their arguments: an id that is not there is no error. */
bool ph_queue_id_plausible(const char *id);

#endif
