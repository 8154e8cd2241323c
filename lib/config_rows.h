/* What a row of config.def is inside a table: a struct config_setting. CONFIG_STRUCT names the
 * struct that the rows' fields are in. Included again for each table, see lib/config.h; hence no
 * #pragma once. */
#undef SETTING_INT
#undef SETTING_TEXT
#undef SETTING_CHOICE
#undef SETTING_SECRET
#define SETTING_INT(field, name, fallback, min, max, help)                                         \
    {name, CONFIG_INT, offsetof(CONFIG_STRUCT, field), fallback, min, max, NULL, help},
#define SETTING_TEXT(field, name, fallback, help)                                                  \
    {name, CONFIG_TEXT, offsetof(CONFIG_STRUCT, field), fallback, 0, 0, NULL, help},
#define SETTING_CHOICE(field, name, fallback, choices, help)                                       \
    {name, CONFIG_CHOICE, offsetof(CONFIG_STRUCT, field), fallback, 0, 0, choices, help},
#define SETTING_SECRET(field, name, fallback, help)                                                \
    {name, CONFIG_SECRET, offsetof(CONFIG_STRUCT, field), fallback, 0, 0, NULL, help},
