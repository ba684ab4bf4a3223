/* list.h: intrusive doubly linked circular lists.  No state; nothing here yields. */
#ifndef PH_BASE_LIST_H
#define PH_BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct ph_list {
	struct ph_list *next, *prev;
};

/* The object that member (a field of type) is part of. */
#define ph_container_of(ptr, type, member) ((type *)(void *)((char *)(ptr) - offsetof(type, member)))

#define PH_LIST_INIT(head) { &(head), &(head) }

static inline void ph_list_init(struct ph_list *l)
{
	l->next = l->prev = l;
}

/* True for an empty head, and for a node that is in no list (initialised or deleted). */
static inline bool ph_list_empty(const struct ph_list *l)
{
	return l->next == l;
}

static inline void ph_list_insert_after(struct ph_list *at, struct ph_list *node)
{
	node->prev = at;
	node->next = at->next;
	at->next->prev = node;
	at->next = node;
}

/* At the front / at the end of the list whose head is given. */
static inline void ph_list_push(struct ph_list *head, struct ph_list *node)
{
	ph_list_insert_after(head, node);
}

static inline void ph_list_append(struct ph_list *head, struct ph_list *node)
{
	ph_list_insert_after(head->prev, node);
}

/* Leaves node initialised, so deleting twice is harmless. */
static inline void ph_list_del(struct ph_list *node)
{
	node->prev->next = node->next;
	node->next->prev = node->prev;
	ph_list_init(node);
}

/* The first node, taken out; NULL when the list is empty. */
static inline struct ph_list *ph_list_pop(struct ph_list *head)
{
	struct ph_list *node = head->next;

	if (node == head)
		return NULL;
	ph_list_del(node);
	return node;
}

/* Move all nodes of from to the end of to. */
static inline void ph_list_splice(struct ph_list *to, struct ph_list *from)
{
	if (ph_list_empty(from))
		return;
	from->next->prev = to->prev;
	to->prev->next = from->next;
	from->prev->next = to;
	to->prev = from->prev;
	ph_list_init(from);
}

#define ph_list_entry(node, type, member) ph_container_of(node, type, member)
#define ph_list_first(head, type, member) \
	(ph_list_empty(head) ? NULL : ph_list_entry((head)->next, type, member))
#define ph_list_last(head, type, member) \
	(ph_list_empty(head) ? NULL : ph_list_entry((head)->prev, type, member))

#define ph_list_for_each(var, head, type, member) \
	for (type *var = ph_list_entry((head)->next, type, member); &var->member != (head); \
	     var = ph_list_entry(var->member.next, type, member))

/* var may be taken out (and freed) in the body; its successor may not. */
#define ph_list_for_each_safe(var, head, type, member) \
	for (type *var = ph_list_entry((head)->next, type, member), \
	     *var##_next = ph_list_entry(var->member.next, type, member); &var->member != (head); \
	     var = var##_next, var##_next = ph_list_entry(var->member.next, type, member))

#endif
