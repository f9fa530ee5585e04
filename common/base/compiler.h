/* SPDX-License-Identifier: Apache-2.0 */
/* The only place with compiler attributes. */
#ifndef COMMON_BASE_COMPILER_H
#define COMMON_BASE_COMPILER_H

#define NODISCARD __attribute__((warn_unused_result))
#define PRINTF_LIKE(fmt_at, args_at) __attribute__((format(printf, fmt_at, args_at)))
#define NORETURN __attribute__((noreturn))

/* Compile one function for an extension of the processor ("sse4.2"); who calls it has
 * checked at run time that the processor has it. */
#define TARGET(extension) __attribute__((target(extension)))

/* Run handler(&variable) when the variable's scope ends. The variable must be
 * initialised where it is declared and the handler must accept its zero value. To be
 * cleaned up is use enough: clang would call some of them unused. */
#define CLEANUP(handler) __attribute__((cleanup(handler), unused))

/* Yield a pointer and clear the variable that held it: ownership moves on. */
#define TAKE(pointer)                           \
    __extension__({                             \
        __typeof__(pointer) taken_ = (pointer); \
        (pointer) = NULL;                       \
        taken_;                                 \
    })

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

#endif
