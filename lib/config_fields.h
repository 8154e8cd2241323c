/* What a row of config.def is inside a struct: a field. Included again for each struct, see
 * lib/config.h; hence no #pragma once. */
#undef SETTING_INT
#undef SETTING_TEXT
#undef SETTING_CHOICE
#undef SETTING_SECRET
#define SETTING_INT(field, name, fallback, min, max, help) long field;
#define SETTING_TEXT(field, name, fallback, help) char *field;
#define SETTING_CHOICE(field, name, fallback, choices, help) int field;
#define SETTING_SECRET(field, name, fallback, help) char *field;
