/* ak_sql - the one place where the statements of sql/ become data */
#define AK_SQL_DEFINE
#include "ak_sql.h"
